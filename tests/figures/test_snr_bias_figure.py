from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.figures import save_figure, snr_bias
from spectrobe.game.intervals import Estimate


def fake_snr(perturbation: str = "gaussian_noise:3", **changes: Any) -> SimpleNamespace:
    """A look-alike of a spectral-SNR result with 8 square bands."""
    bands = changes.pop("bands", BandPartition.square(8))
    m = bands.n_bands
    db = np.asarray(changes.pop("db", 25 - 6.0 * np.arange(m)))
    ratio = 10 ** (db / 10)
    mu = 1 / (1 + 1 / ratio)
    settings = SimpleNamespace(bands=bands, dc="apart", summary="median", confidence=0.95)
    result = {
        "perturbation": perturbation,
        "data_name": "photos",
        "bands": bands,
        "image_size": (224, 224),
        "confidence": 0.95,
        "settings": settings,
        "db": db,
        "interval": db[:, None] + np.array([-2.0, 3.0]),
        "modulus": mu,
        "modulus_interval": np.clip(mu[:, None] + np.array([-0.1, 0.1]), 0, 1),
        "category": tuple("robust" if one > 0.6 else "undecided" if one > 0.4 else "non-robust" for one in mu),
        "frequency": bands.mean_frequency(224, 224),
        "n_images": 50,
        "prefix": True,
        "pattern": "low only",
        "decay": SimpleNamespace(db_per_octave=Estimate(-9.5, 0.2, -9.9, -9.1)),
    }
    found = SimpleNamespace(**(result | changes))
    found.results = {perturbation: found}
    return found


def points(ax: Axes) -> np.ndarray:
    """Positions and values of all markers but those of curves, sorted by position."""
    marked = [line.get_xydata() for line in ax.lines if line.get_marker() in ("o", "s", "D", "^", "v", "P")]
    together = np.concatenate([np.asarray(one) for one in marked])
    return together[np.argsort(together[:, 0])]


def bars(ax: Axes) -> np.ndarray:
    found = [c for c in ax.collections if isinstance(c, LineCollection)]
    return np.asarray([segment[:, 1] for collection in found for segment in collection.get_segments()])


def legend_texts(figure: Figure) -> list[str]:
    legend = figure.legends[0] if figure.legends else figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts() if text.get_text().strip()]


class TestOneResult:
    def test_draws_the_numbers_at_the_bands_mean_frequency(self) -> None:
        result = fake_snr()
        snr, modulus = snr_bias(result).axes[:2]
        x = np.log2(result.frequency)
        np.testing.assert_allclose(points(snr), np.column_stack([x, result.db]), atol=1e-12)
        np.testing.assert_allclose(bars(snr), result.interval, atol=1e-12)
        np.testing.assert_allclose(points(modulus), np.column_stack([x, result.modulus]), atol=1e-12)
        np.testing.assert_allclose(bars(modulus), result.modulus_interval, atol=1e-12)

    def test_markers_are_filled_by_category(self) -> None:
        result = fake_snr(db=np.array([20.0, 10, 5, 0, 0, -5, -10, -20]))
        ax = snr_bias(result).axes[0]
        faces = {}
        for line in ax.lines:
            if line.get_marker() == "o":
                whiteness = np.mean(to_rgb(line.get_markerfacecolor()))
                faces |= {round(float(y), 1): whiteness for y in np.asarray(line.get_ydata())}
        own = np.mean(to_rgb(ax.collections[0].get_color()[0]))
        assert faces[20.0] == pytest.approx(own, abs=1e-9)
        assert own < faces[0.0] < 1
        assert faces[-20.0] == 1

    def test_axes_are_octaves_in_cycles_per_pixel_and_per_image(self) -> None:
        figure = snr_bias(fake_snr(image_size=(224, 320)))
        snr, modulus = figure.axes[:2]
        assert [label.get_text() for label in modulus.get_xticklabels()] == ["0.0625", "0.125", "0.25", "0.5"]
        np.testing.assert_allclose(modulus.get_xticks(), [-4, -3, -2, -1])
        (above,) = snr.child_axes
        assert [label.get_text() for label in above.get_xticklabels()] == ["14", "28", "56", "112"]
        assert above.get_xlabel() == "cycles/image (224 pixels)"
        assert "cycles/pixel" in modulus.get_xlabel()

    def test_untouched_bands_stand_at_the_upper_edge(self) -> None:
        db = np.array([np.inf, 30, 20, 10, np.inf, 0, -5, -10])
        result = fake_snr(db=db)
        result.interval[[0, 4]] = np.inf
        ax = snr_bias(result).axes[0]
        (triangles,) = [line for line in ax.lines if line.get_marker() == "^"]
        np.testing.assert_allclose(triangles.get_xdata(), np.log2(result.frequency[[0, 4]]))
        np.testing.assert_allclose(triangles.get_ydata(), ax.get_ylim()[1])
        assert np.isfinite(ax.get_ylim()).all()

    def test_nothing_touched_at_all_can_be_drawn(self) -> None:
        result = fake_snr(db=np.full(8, np.inf), decay=SimpleNamespace(db_per_octave=Estimate.undefined("no bands")))
        figure = snr_bias(result)
        assert legend_texts(figure)[0] == "gaussian_noise:3"

    def test_the_mean_as_a_band_of_its_own_is_left_out(self) -> None:
        ax = snr_bias(fake_snr(bands=BandPartition.square(4, dc="own"))).axes[0]
        assert np.isfinite(points(ax)).sum() == 2 * 4

    def test_says_what_it_shows(self) -> None:
        figure = snr_bias(fake_snr())
        assert figure.get_suptitle() == "Which spatial frequencies survive gaussian_noise:3?"
        assert legend_texts(figure)[0] == "gaussian_noise:3: -9.5 [-9.9, -9.1] dB/octave"
        assert "0 dB: perturbation as strong as the image" in legend_texts(figure)
        assert figure.legends[0].get_title().get_text().startswith("50 images of photos")

    def test_has_its_answer_under_the_headline(self) -> None:
        answer = snr_bias(fake_snr()).axes[0].get_title(loc="left")
        assert " ".join(answer.split()).startswith("Low frequencies survive gaussian_noise:3 (below 0.25 cycles/pixel")
        assert max(map(len, answer.split("\n"))) <= 110
        assert snr_bias([fake_snr("fog:1"), fake_snr("fog:2")]).axes[0].get_title(loc="left") == ""


class TestSeveral:
    def test_up_to_six_share_a_panel_and_severities_a_colour(self) -> None:
        results = [fake_snr(f"gaussian_noise:{k}", db=25 - 6.0 * np.arange(8) - k) for k in (1, 2, 3)]
        results.append(fake_snr("contrast:2", db=np.full(8, 3.0)))
        figure = snr_bias(results)
        snr = figure.axes[0]
        assert len(points(snr)) == 32
        lines = [line for line in snr.lines if line.get_marker() in ("None", "") and len(line.get_xdata()) == 8]
        brightness = [float(np.mean(to_rgb(line.get_color()))) for line in lines[:3]]
        assert brightness == sorted(brightness, reverse=True)
        positions = np.asarray([line.get_xdata() for line in lines])
        assert (np.diff(positions, axis=0) > 0).all()  # side by side, so that bars do not hide one another

    def test_more_than_six_get_a_panel_for_each_name(self) -> None:
        results = [fake_snr(f"{name}:{k}") for name in ("gaussian_noise", "fog", "snow") for k in (1, 3, 5)]
        figure = snr_bias(SimpleNamespace(results={result.perturbation: result for result in results}))
        assert [ax.get_title(loc="left") for ax in figure.axes] == ["gaussian_noise", "fog", "snow"]
        assert all(len(points(ax)) == 24 for ax in figure.axes)
        assert figure.axes[1].get_ylim() == figure.axes[0].get_ylim()
        assert figure.axes[0].texts[0].get_text() == "light to dark: 1 to 5"
        assert figure.texts[-1].get_text() == "Low frequencies survive, high ones are lost: 9 of 9."

    def test_few_names_share_the_width(self) -> None:
        figure = snr_bias([fake_snr(f"{name}:{k}") for name in ("fog", "snow") for k in (1, 2, 3, 4)])
        assert len(figure.axes) == 2 and figure.axes[1].get_position().x1 > 0.95

    def test_into_axes_of_the_caller(self) -> None:
        figure = Figure()
        ax = figure.subplots()
        assert snr_bias(fake_snr(), ax=ax) is figure
        assert len(points(ax)) == 8
        with pytest.raises(InputError, match="at most 6"):
            snr_bias([fake_snr(f"fog:{k}") for k in range(7)], ax=ax)

    @pytest.mark.parametrize(
        "given,message",
        [
            ([], "at least one result"),
            ([fake_snr(), fake_snr(bands=BandPartition.square(4))], "same bands"),
            ([fake_snr(), fake_snr(confidence=0.9)], "same confidence"),
            (3, "results of spectral_snr"),
        ],
    )
    def test_what_cannot_be_drawn(self, given: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            snr_bias(given)


@pytest.mark.slow
def test_the_files_are_the_same_every_time_and_settings_are_given_back(tmp_path: Any) -> None:
    before = dict(matplotlib.rcParams)
    for folder in ("a", "b"):
        save_figure(snr_bias(fake_snr()), tmp_path / folder, "snr-bias")
    assert dict(matplotlib.rcParams) == before
    for kind in ("svg", "png"):
        assert (tmp_path / f"a/snr-bias.{kind}").read_bytes() == (tmp_path / f"b/snr-bias.{kind}").read_bytes()
