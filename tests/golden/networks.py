#!/usr/bin/env python3
"""Writes networks.json: logits of torchvision's and timm's networks whose weights and images come from a formula.

Not needed to run the tests. To make the file again: pip install torch torchvision timm, then
python3 tests/golden/networks.py > tests/golden/networks.json
"""

import json
import sys

import numpy
import timm
import torch
import torchvision

CLASSES = 10
IMAGES = 2
NETWORKS = {
    "resnet18": lambda: torchvision.models.resnet18(num_classes=CLASSES),
    "resnet34": lambda: torchvision.models.resnet34(num_classes=CLASSES),
    "resnet50": lambda: torchvision.models.resnet50(num_classes=CLASSES),
    "deit_tiny": lambda: timm.create_model("deit_tiny_patch16_224", num_classes=CLASSES),
}


def uniform(name, count):
    """Numbers in [-1, 1) by hashing the name and the index, exact in f64."""
    start = 0
    for byte in name.encode():
        start = (start * 31 + byte) % 2**32
    x = (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(start)) % numpy.uint64(2**32)
    for factor, shift in ((2654435761, 15), (2246822519, 13), (3266489917, 16)):
        x = (x * numpy.uint64(factor)) % numpy.uint64(2**32)
        x = x ^ (x >> numpy.uint64(shift))
    return x.astype(numpy.float64) / 2**31 - 1.0


def tensor(name, shape):
    """The value of a tensor: what it is follows from its name and shape."""
    u = uniform(name, int(numpy.prod(shape)))
    if name.endswith("running_var"):
        values = 1.0 + 0.5 * u
    elif len(shape) == 1 and name.endswith("weight"):
        values = 0.7 + 0.3 * u
    elif len(shape) == 1:
        values = 0.1 * u
    elif name in ("cls_token", "pos_embed"):
        values = 0.5 * u
    else:
        values = u * (3.0 / numpy.prod(shape[1:])) ** 0.5
    return torch.tensor(values.astype(numpy.float32).reshape(shape))


def main():
    size = (IMAGES, 3, 224, 224)
    images = torch.tensor((1.5 * uniform("images", int(numpy.prod(size)))).astype(numpy.float32).reshape(size))
    networks = {}
    for name, make in NETWORKS.items():
        network = make().eval()
        tensors = {k: list(v.shape) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
        values = {k: tensor(k, shape) for k, shape in tensors.items()}
        network.load_state_dict(values, strict=False)
        with torch.no_grad():
            logits = network(images)
        networks[name] = {"tensors": tensors, "logits": [[round(float(x), 6) for x in row] for row in logits]}
        print(name, logits, file=sys.stderr)
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    lines = [f'"versions": {json.dumps(versions)}', '"networks": {']
    entries = []
    for name, entry in networks.items():
        tensors = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in entry["tensors"].items())
        logits = json.dumps(entry["logits"])
        entries.append(f'{json.dumps(name)}: {{ "logits": {logits}, "tensors": {{\n{tensors}\n}} }}')
    print("{\n" + ",\n".join(lines[:1]) + ",\n" + lines[1] + "\n" + ",\n".join(entries) + "\n}\n}")


if __name__ == "__main__":
    main()
