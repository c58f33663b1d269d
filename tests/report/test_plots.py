import xml.etree.ElementTree as ET
from functools import partial

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bdd100k_d2.report.analysis.detection_records import PrecisionRecall, SizeHistogram
from bdd100k_d2.report.plots import (
    THEMES,
    Line,
    Panel,
    Theme,
    draw_panel,
    draw_precision_recall,
    draw_sizes,
    draw_svg,
    panels,
    smooth,
)
from bdd100k_d2.report.run import History


def plot(panel: Panel, theme: Theme, last_iteration: int) -> str:
    return draw_svg(theme, 5.0, 3.1, lambda axes: draw_panel(axes, theme, panel, last_iteration))


@pytest.fixture
def history() -> History:
    records = {i: {"total_loss": 90 / i, "loss_cls": 50 / i, "loss_box_reg": 40 / i} for i in range(19, 400, 20)}
    records[199] |= {"bbox/AP": 12.25}
    records[399] |= {"bbox/AP": 21.5}
    return History(records)


def test_smoothing_keeps_straight_lines_and_takes_out_noise() -> None:
    line = np.linspace(5, 1, 200)
    np.testing.assert_allclose(smooth(line), line, rtol=1e-12)
    noise = np.random.default_rng(0).normal(0, 1, 200)
    assert smooth(noise)[20:-20].std() < 0.4
    assert smooth(noise)[0] == pytest.approx(noise[0])


@pytest.mark.parametrize("count", [1, 2, 15])
def test_a_short_series_is_not_smoothed(count: int) -> None:
    values = np.random.default_rng(0).normal(0, 1, count)
    np.testing.assert_allclose(smooth(values), values)


def test_the_panels_that_a_log_gives(history: History) -> None:
    loss, terms, scores = panels(history, [("bbox/AP", "AP"), ("bbox/AP50", "AP50")])
    assert [line.name for line in loss.lines] == ["total"]
    assert [line.name for line in terms.lines] == ["cls", "box_reg"]
    assert [(line.name, line.at.tolist(), line.values.tolist()) for line in scores.lines] == [
        ("AP", [199, 399], [12.25, 21.5])
    ]
    assert scores.scores and not loss.scores


def test_a_single_term_gets_no_panel_of_its_own() -> None:
    log = History({19: {"total_loss": 2.0, "loss_sem_seg": 2.0}, 39: {"total_loss": 1.0, "loss_sem_seg": 1.0}})
    assert [panel.name for panel in panels(log)] == ["loss"]


def test_a_single_evaluation_is_no_plot() -> None:
    log = History({19: {"total_loss": 2.0}, 39: {"total_loss": 1.0, "bbox/AP": 21.5, "bbox/AP50": 40.0}})
    assert [panel.name for panel in panels(log, [("bbox/AP", "AP"), ("bbox/AP50", "AP50")])] == ["loss"]


def test_no_legend_lies_on_a_curve(history: History) -> None:
    """Nor does one with many names leave the picture."""
    at = np.arange(100.0)
    terms = [f"cls_stage{i}" for i in range(3)] + [f"box_reg_stage{i}" for i in range(3)] + ["rpn_cls", "rpn_loc"]
    many = Panel("terms", "Terms of the loss", "loss", tuple(Line(name, at, at[::-1]) for name in terms))
    curve = PrecisionRecall("car", 0.5, np.arange(101.0), np.full(101, 3.0), 3.0)
    sizes = SizeHistogram("car", np.array([4.0, 8.0, 16.0]), np.array([9, 9]), np.array([9, 9]))
    theme = THEMES["light"]
    for draw in (
        *(partial(draw_panel, theme=theme, panel=panel, last_iteration=399) for panel in (panels(history)[1], many)),
        partial(draw_precision_recall, theme=theme, curves=[curve], baseline=[curve]),
        partial(draw_sizes, theme=theme, sizes=sizes),
    ):
        figure = Figure(figsize=(5.0, 3.1), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        draw(axes)
        figure.canvas.draw()
        legend, whole = axes.get_legend().get_window_extent(), figure.bbox
        assert legend.y0 >= axes.get_window_extent().y1
        assert whole.x0 <= legend.x0 and legend.x1 <= whole.x1 and legend.y1 <= whole.y1


def test_a_plot_is_the_same_each_time_and_refers_to_nothing(history: History) -> None:
    for panel in panels(history, [("bbox/AP", "AP")]):
        light, again, dark = (plot(panel, THEMES[name], 399) for name in ("light", "light", "dark"))
        assert light == again
        assert THEMES["light"].lines[0] in light and THEMES["light"].lines[0] not in dark
        assert THEMES["dark"].lines[0] in dark
        links = [value for node in ET.fromstring(light).iter() for key, value in node.items() if key.endswith("href")]
        assert links and all(link.startswith("#") for link in links)


def test_a_plot_shows_the_raw_and_the_smoothed_line(history: History) -> None:
    svg = plot(panels(history)[0], THEMES["light"], 399)
    color = THEMES["light"].lines[0]
    assert svg.count(f"stroke: {color}") == 2


def test_a_plot_of_zeros_or_of_one_point_is_drawn() -> None:
    for values in ([0.0], [0.0, 0.0]):
        line = Line("total", np.arange(len(values), dtype=float), np.array(values))
        assert plot(Panel("loss", "Total loss", "loss", (line,)), THEMES["light"], 0).startswith("<?xml")
