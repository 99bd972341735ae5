"""Makes model.onnx: convolutions of groups and of distant pixels, in every form that the engine lays out its own way."""

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

# outputs, inputs a group, kernel, groups, dilation, stride
LAYERS = [
    (32, 3, (3, 3), 1, (1, 1), 1),
    (64, 4, (3, 3), 8, (1, 1), 1),  # two parts of four groups
    (64, 16, (3, 3), 4, (1, 1), 2),  # four parts of a group
    (128, 1, (3, 3), 64, (2, 2), 1),  # two filters a channel: four parts of 16 groups
    (24, 16, (1, 1), 8, (1, 1), 1),  # one part of all groups
    (20, 24, (3, 2), 1, (2, 3), 1),  # distant pixels
    (20, 1, (3, 3), 20, (2, 2), 1),  # each channel alone
]


def main():
    noise = numpy.random.default_rng(0)
    nodes, constants, value = [], [], "images"
    for i, (outputs, inputs, kernel, groups, dilation, stride) in enumerate(LAYERS):
        weight = noise.standard_normal((outputs, inputs, *kernel)) / (inputs * numpy.prod(kernel)) ** 0.5
        constants.append(numpy_helper.from_array(weight.astype(numpy.float32), f"w{i}"))
        nodes.append(helper.make_node(
            "Conv", [value, f"w{i}"], [f"y{i}"], group=groups, dilations=dilation, strides=[stride] * 2,
            pads=[d * (k // 2) for d, k in zip(dilation, kernel)] * 2))
        nodes.append(helper.make_node("Relu", [f"y{i}"], [f"z{i}"]))
        value = f"z{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["logits"]))
    graph = helper.make_graph(
        nodes, "grouped", [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 13, 11])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 20])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")


main()
