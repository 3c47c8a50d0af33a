"""How often 95 % intervals hold the truth, and how the permutation design does against the exact one; no model is run.

Images are drawn from the stored table of cifar-resnet8 on 2,000 CIFAR-10 images (tests/real_table.py), whose own
numbers are the truth. Some minutes on two cores; writes docs/logs/coverage.txt:

    python -m benchmarks.coverage [--repeats 400] [--replicates 299]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.simulation import Coverage, SamplerRuns, coverage, sampler_runs

LOG = Path(__file__).resolve().parents[1] / "docs" / "logs" / "coverage.txt"


def coverage_lines(value: str, repeats: int, replicates: int) -> Iterator[str]:
    """One table a value: a row an interval, a column a design and number of images, coverage in % (mean half-width)."""
    cases = [(design, n) for design in ("exact", "permutation") for n in (20, 100)]
    found: list[Coverage] = [coverage(value, design, n, repeats, replicates) for design, n in cases]
    yield f"{value}: coverage of 95 % intervals in % (mean half-width), {repeats} repeats, {replicates} resamples"
    yield f"{'':<18}" + "".join(f"{f'{design}, {n} images':>24}" for design, n in cases)
    for name in found[0].covered:
        cells = [
            f"{100 * case.covered[name]:.1f}" + (f" ({case.half_width[name]:.3f})" if name in case.half_width else "")
            for case in found
        ]
        yield f"{name:<18}" + "".join(f"{cell:>24}" for cell in cells)


def sampler_lines(value: str, n_images: int, runs: int) -> Iterator[str]:
    """The permutation design against the exact one, a column a band."""
    found: SamplerRuns = sampler_runs(value, n_images, runs)
    stderr = found.stderr.mean(axis=0)
    yield f"{value}: permutation design, {runs} runs of {n_images} images; a column a band"
    rows = {
        "mean - exact at the same temperatures, in standard errors of a run": (found.estimate - found.same).mean(0)
        / stderr,
        "reported / empirical standard error": stderr / found.estimate.std(axis=0, ddof=1),
        "shift from sharing temperatures, in nats": found.shift,
        "the same, in standard errors of a run": found.shift / stderr,
        "mean - exact, in standard errors of a run": (found.estimate.mean(0) - found.truth) / stderr,
    }
    for name, numbers in rows.items():
        yield f"  {name:<68}" + "".join(f"{number:>9.4f}" for number in numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--replicates", type=int, default=299)
    parser.add_argument("--runs", type=int, default=1000, help="runs of the sampler")
    parser.add_argument("--out", type=Path, default=LOG)
    options = parser.parse_args()
    np.seterr(all="raise", under="ignore")
    settings = f"--repeats {options.repeats} --replicates {options.replicates} --runs {options.runs}"
    lines = [
        f"$ python -m benchmarks.coverage {settings}",
        "cifar-resnet8 on 2,000 CIFAR-10 test images, 4 square bands, absence mean; images drawn with replacement",
    ]

    def tell(more: Iterator[str]) -> None:
        for line in ("", *more):
            lines.append(line)
            print(line, flush=True)

    for value in ("usable-information", "log-likelihood"):
        tell(coverage_lines(value, options.repeats, options.replicates))
    for n_images in (100, 400):
        tell(sampler_lines("usable-information", n_images, options.runs))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
