"""Write .carry/cifar10.npz: CIFAR-10's 55,000 JPEGs and labels in one file, for a machine without ../shared.

    python -m benchmarks.carry_cifar10

The folder is ignored by git; `benchmarks.train_zoo` finds the file there.
"""

from __future__ import annotations

from benchmarks.zoo.images import CARRIED, carry

if __name__ == "__main__":
    print(f"{CARRIED}: {carry() / 2**20:.1f} MiB")
