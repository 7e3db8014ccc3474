"""Charts: what they carry for JupyterLab and for the book."""

import html
import json
import re

import plotly.graph_objects as go
import pytest

from vidlib.show import chart

ALT = 'Accuracy "rises" <fast> & far'


def figure():
    return go.Figure(go.Scatter(x=[0, 1], y=[0.1, 0.9], name="</script>"))


def test_a_chart_serves_jupyterlab_and_the_book():
    bundle = chart(figure(), alt=ALT)._repr_mimebundle_()
    live = bundle["application/vnd.plotly.v1+json"]
    assert live["data"][0]["name"] == "</script>"
    page = bundle["text/html"]
    data = re.search(r'data-figure="([^"]*)"', page).group(1)
    assert json.loads(html.unescape(data)) == live
    assert f"<p>{html.escape(ALT)}</p>" in page
    assert page.count("</script>") == 1  # the end of its own
    assert len(page) < 10_000  # plotly itself is not inside


def test_a_chart_fits_both_themes_and_leaves_the_figure_alone():
    given = figure().update_layout(height=200)
    before = given.to_json()
    layout = chart(given, alt=ALT).figure["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0, 0, 0, 0)"
    assert layout["height"] == 200
    assert given.to_json() == before


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="fig is a dict: give a plotly Figure"):
        chart({}, alt=ALT)
    with pytest.raises(ValueError, match="alt is empty"):
        chart(figure(), alt="")
