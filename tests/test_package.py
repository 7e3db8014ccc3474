"""What a user installs: types that hold, and a wheel that explains a clip away from this folder."""

import subprocess
import sys
import sysconfig
import textwrap
import venv
from pathlib import Path

import pytest
from conftest import ROOT


def run(*command, cwd=ROOT):
    result = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_types_hold(tmp_path):
    run(sys.executable, "-m", "mypy", "--cache-dir", tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment into which pip put the wheel, outside the repository.

    The libraries come from this environment by a path file, so that nothing is fetched; pip checks
    that the wheel names no other.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    source = folder / "source"
    run("git", "clone", "--quiet", ROOT, source)
    for name in ("vidlib", "pyproject.toml"):  # as they are now, committed or not
        run("rm", "-rf", source / name)
        run("cp", "-r", ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--quiet"]
    run(*pip, "wheel", *options, "--wheel-dir", folder, source)
    (wheel,) = folder.glob("vidlib-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    here = sysconfig.get_paths()["purelib"]
    inside = run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    Path(inside, "libraries.pth").write_text(f"{here}\n")
    target = ["--no-index", "--no-build-isolation", "--quiet", "--force-reinstall", "--no-deps"]
    run(*pip, "--python", python, "install", *target, wheel)
    run(*pip, "--python", python, "check")
    return python


def test_the_wheel_explains_a_clip_outside_the_repository(installed, tmp_path):
    code = """
        import sys
        from pathlib import Path
        import numpy as np
        import vidlib
        from vidlib.data import write_webm
        from vidlib.explain import find_masks, grad_cam
        from vidlib.models import CLSTM
        from vidlib.show import explanation_row, player
        from vidlib.video_network import VideoNetwork, read_frames

        frames = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
        write_webm(Path("clip.webm"), frames)
        net = CLSTM(3, frames=8, size=(32, 32), layers=2, hidden=4, stride=1)
        asked = VideoNetwork(net, frames=8, size=(32, 32))
        seen = read_frames(Path("clip.webm"), asked)
        found = find_masks(net, asked.clip(seen))
        maps = grad_cam(net, asked.clip(seen))
        row = explanation_row("C-LSTM", seen, found.mask[0].numpy(), saliency=maps[0].numpy(),
                              scores={"OS": float(found.original_score)})
        Path("page.html").write_text(player([row], caption="a clip")._repr_html_())
        print(Path(vidlib.__file__).parents[1])
    """
    where = run(installed, "-c", textwrap.dedent(code), cwd=tmp_path).strip()
    assert Path(installed).parents[1] in Path(where).parents
    assert "temporal-mask-player" in (tmp_path / "page.html").read_text()
