"""A home for programs, where the user's cannot be written, is of another or is not there."""

import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT

home = types.ModuleType("home", "What `make` has .venv's Python run first.")
home.__file__ = str(ROOT / ".ci/home.py")
exec(compile(Path(home.__file__).read_text(), home.__file__, "exec"), vars(home))
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, and no name of the user."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr(home, "PROJECT", folder)
    for name in [*NAMES, *(name for name in os.environ if name.startswith("XDG_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "")  # so that it is as before in the end
    return folder


@pytest.fixture
def locked(monkeypatch):
    """Folders that nobody may write to, root neither; tests add to them."""
    folders, access = set(), os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) not in folders and access(path, mode)
    )
    return folders


def test_a_home_that_will_do_is_kept(project, tmp_path):
    os.environ["HOME"] = str(tmp_path)
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "not yet/there")
    home.settle()
    assert os.environ["HOME"] == str(tmp_path) and not (project / ".home").exists()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "not yet/there")


HOMES = ["", "/nonexistent/home", "/dev/null", "locked", "locked/.cache", "locked/.local/share"]


@pytest.mark.parametrize("where", HOMES)
def test_a_home_that_will_not_do_is_replaced(project, tmp_path, locked, monkeypatch, where):
    if where.startswith("locked"):
        (tmp_path / where).mkdir(parents=True)
        locked.add(tmp_path / where)
        os.environ["HOME"] = str(tmp_path / "locked")
    else:
        os.environ["HOME"] = where
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # of a user without a home
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null/config")
    home.settle()
    assert os.environ["HOME"] == str(project / ".home") and (project / ".home").is_dir()
    assert "XDG_CONFIG_HOME" not in os.environ


def test_who_may_not_write_to_the_project_either_has_it_elsewhere(
    project, tmp_path, locked, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    os.environ["HOME"] = "/nonexistent/home"
    locked.add(project)
    home.settle()
    assert Path(os.environ["HOME"]).parent == tmp_path and not list(project.iterdir())


def test_a_user_without_a_name_gets_one(project, tmp_path, monkeypatch):
    import getpass
    import pwd

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    os.environ["HOME"] = str(tmp_path)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    home.settle()
    assert getpass.getuser() == "user"


WRITE = """
import getpass
from pathlib import Path
import IPython.paths, jupyter_core.paths, matplotlib, platformdirs
from torch._inductor.runtime.cache_dir_utils import default_cache_dir
import vidlib.weights_cache
home = Path.home()
for folder in (
    matplotlib.get_cachedir(), IPython.paths.get_ipython_dir(), default_cache_dir(),
    jupyter_core.paths.jupyter_runtime_dir(), jupyter_core.paths.jupyter_data_dir(),
    platformdirs.user_cache_dir("snakemake"), vidlib.weights_cache.cache_folder(),
):
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "x").touch()
print(getpass.getuser(), home)
"""


@pytest.mark.parametrize("where", ["/nonexistent/home", "/dev/null"])
def test_caches_have_a_place_whatever_starts_python(tmp_path, where):
    """By the line that `make` adds to the virtual environment, before any other import."""
    project = tmp_path / "Ü it's a folder"
    (project / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/home.py", project / ".ci")
    shutil.copy(ROOT / "Makefile", project)
    show = ["make", "-s", "--eval", 'show: ; @printf "%s" "$$SETTLED"', "show"]
    script = subprocess.run(show, cwd=project, capture_output=True, text=True, check=True).stdout
    site = tmp_path / "site"
    site.mkdir()
    script = script.replace('sysconfig.get_path("purelib")', repr(str(site)))
    subprocess.run([sys.executable, "-c", script], cwd=project, check=True)
    # HOME once more, as this environment may have such a line itself.
    start = f"import os, site; os.environ['HOME'] = {where!r}; site.addsitedir({str(site)!r})\n"
    dropped = ("HOME", "MPLCONFIGDIR", "VIDLIB_CACHE", *NAMES)
    bare = {k: v for k, v in os.environ.items() if k not in dropped and k[:4] != "XDG_"}
    bare |= {"TMPDIR": str(tmp_path), "HOME": where}
    done = subprocess.run(
        [sys.executable, "-c", start + WRITE],
        cwd=tmp_path,
        env=bare,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    user, home_folder = done.stdout.strip().split(" ", 1)
    assert user and home_folder == str(project / ".home")
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("x")}
    assert len(written) == 7
