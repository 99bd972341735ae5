#!/usr/bin/env python3
"""Image evaluations of two-level sampling against stratified images, at the same tolerance, on the stored 8-bit ResNet-20.

benches/stratified.py [--seeds N] [PROGRAM]: each of two models alone at three bit error rates, each seed by both samplers;
prints a table, and ends with 1 where means disagree or an expectation fails.
"""

import csv
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "results/models/cifar10-resnet20"
# model, bit error rate, tolerance, least ratio of image evaluations
POINTS = [
    ("0.1-wcat", "0.0001", 0.001, 1),
    ("0.1-wcat", "0.001", 0.001, 3),
    ("0.1-wcat", "0.01", 0.003, 1),
    ("normal", "0.0001", 0.002, 1),
    ("normal", "0.001", 0.002, 1),
    ("normal", "0.01", 0.005, 1),
]


def summary(program, model, rate, tolerance, sampling, seed):
    """The only row of the summary of a sweep."""
    with tempfile.TemporaryDirectory() as place:
        file = MODELS / f"cifar10_resnet20-{model}-8bit.safetensors"
        command = [program, "sweep", "--model", file, "--dataset", "cifar10", "--bers", rate, "--tolerance", tolerance]
        command += ["--sampling", sampling, "--seed", seed, "--arithmetic", "winograd", "--chips", 100, "-q"]
        run = subprocess.run([str(part) for part in command], cwd=place, capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr)
        [path] = pathlib.Path(place).glob("results/*/summary.csv")
        with open(path, newline="") as table:
            [row] = csv.DictReader(table)
    return {name: float(row[name]) for name in ("mean", "ci_low", "ci_high", "image_evaluations", "chips", "images")}


def main():
    arguments = sys.argv[1:]
    seeds = int(arguments[arguments.index("--seeds") + 1]) if "--seeds" in arguments else 5
    program = arguments[-1] if arguments and not arguments[-1].isdigit() else ROOT / "target/release/wcat-explore"
    failed = False
    print("| model | bit error rate | tolerance | two-level: mean, evaluations | stratified: mean, evaluations, images a chip "
          "| times fewer, seed by seed | in all |")
    print("|---|---|---|---|---|---|---|")
    for model, rate, tolerance, least in POINTS:
        both = []
        for seed in range(1, seeds + 1):
            both.append([summary(program, model, rate, tolerance, way, seed) for way in ("two-level", "stratified")])
        for old, new in both:
            half = [(own["ci_high"] - own["ci_low"]) / 2 for own in (old, new)]
            # the chips are the same: the intervals' joint half-width is a wide bound
            if abs(old["mean"] - new["mean"]) > (half[0] ** 2 + half[1] ** 2) ** 0.5:
                print(f"means differ: {model} {rate}: {old} {new}")
                failed = True
        mean = [sum(pair[i]["mean"] for pair in both) / seeds for i in (0, 1)]
        evaluations = [sum(pair[i]["image_evaluations"] for pair in both) / seeds for i in (0, 1)]
        ratios = [old["image_evaluations"] / new["image_evaluations"] for old, new in both]
        images = sum(new["images"] for _, new in both) / seeds
        whole = evaluations[0] / evaluations[1]
        failed |= whole < least or min(ratios) < 1
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {model} | {rate} | {tolerance} | {mean[0]:.4f}, {evaluations[0]:.0f} | {mean[1]:.4f}, "
              f"{evaluations[1]:.0f}, {images:.0f} | {each} | {whole:.2f} |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
