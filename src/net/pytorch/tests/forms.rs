//! The forms in which checkpoints are commonly saved, and what stands in them beside weights.

use super::*;

#[test]
fn whole_modules_and_scripts_are_named_with_the_way_out() {
    let module = [
        call(
            global("copyreg", "_reconstructor"),
            &[global("models", "Net")],
        ),
        b"}".to_vec(),
        text("training"),
        vec![0x88],
        b"s".to_vec(),
        text("_modules"),
        b"}sb".to_vec(),
    ]
    .concat();
    let message = refusal(&archive(dict(&[("model", module)]), &[]));
    assert!(
        message.contains("torch.save(model.state_dict()")
            && message.contains("a whole pickled model, an object of `models.Net`"),
        "{message}"
    );
    let script = [("m/data.pkl", b"N.".as_slice()), ("m/constants.pkl", b").")];
    let message = refusal(&archive_of(&script, CompressionMethod::Stored));
    assert!(message.contains("TorchScript"), "{message}");
}

/// Bookkeeping of every kind of opcode, one value each, that stands beside a state dict.
fn bookkeeping() -> Vec<Vec<u8>> {
    let none = || b"N".to_vec();
    let made =
        |class: &str, name: &str, arguments: &[Vec<u8>]| call(global(class, name), arguments);
    let counted = |opcode: u8, width: usize, content: &[u8]| {
        let length = (content.len() as u64).to_le_bytes();
        [&[opcode], &length[..width], content].concat()
    };
    let new = |tail: &[u8]| [global("enum", "Mode"), tail.to_vec()].concat();
    let dtype = [
        made("numpy", "dtype", &[text("f8"), int(0), int(1)]),
        tuple(&[int(3), text("<"), none()]),
        b"b".to_vec(),
    ]
    .concat();
    let encoded = made("_codecs", "encode", &[text("b"), text("latin1")]);
    let array = [
        made(
            "numpy.core.multiarray",
            "_reconstruct",
            &[global("numpy", "ndarray"), ints(&[0]), encoded.clone()],
        ),
        tuple(&[
            int(1),
            ints(&[1]),
            dtype.clone(),
            vec![0x89],
            counted(b'C', 1, b"12345678"),
        ]),
        b"b".to_vec(),
    ]
    .concat();
    let filled = |class: Vec<u8>| [class, b"(".to_vec(), text("a"), int(1), b"u".to_vec()].concat();
    vec![
        made("numpy.core.multiarray", "scalar", &[dtype, encoded]),
        array,
        [
            made("argparse", "Namespace", &[]),
            filled(b"}".to_vec()),
            b"b".to_vec(),
        ]
        .concat(),
        filled(made(
            "collections",
            "defaultdict",
            &[global("builtins", "list")],
        )),
        filled(made("mmcv", "Config", &[])),
        made("collections", "Counter", &[filled(b"}".to_vec())]),
        [
            made("collections", "deque", &[]),
            b"(".to_vec(),
            int(1),
            int(2),
            b"e".to_vec(),
        ]
        .concat(),
        made("pathlib", "PosixPath", &[text("/"), text("data")]),
        made("torch", "device", &[text("cuda"), int(0)]),
        made("torch", "Size", &[ints(&[3, 4])]),
        global("torch", "float32"),
        made("datetime", "datetime", &[counted(b'C', 1, b"0123456789")]),
        made(
            "builtins",
            "complex",
            &[b"G01234567".to_vec(), b"F1.5\n".to_vec()],
        ),
        made(
            "builtins",
            "set",
            &[[b"](".to_vec(), int(1), b"e".to_vec()].concat()],
        ),
        // a set, a frozen set, a byte array, a buffer outside, one not to be written to
        [vec![0x8f], b"(".to_vec(), int(1), vec![0x90]].concat(),
        [b"(".to_vec(), int(1), vec![0x91]].concat(),
        counted(0x96, 8, b"bytes"),
        vec![0x97, 0x98],
        counted(b'B', 4, b"\xff\xfe"),
        counted(b'U', 1, b"\xff\xfe"),
        counted(0x8b, 4, &[0x7f; 40]),
        counted(0x8a, 1, &[0x80; 9]),
        // NEWOBJ, NEWOBJ_EX, INST, OBJ, the registry, a named persistent object
        new(b")\x81}b"),
        new(b")}\x92"),
        [b"(".to_vec(), int(1), b"ienum\nMode\n".to_vec()].concat(),
        [b"(".to_vec(), global("enum", "Mode"), int(1), b"o".to_vec()].concat(),
        vec![0x82, 1],
        vec![0x84, 1, 0, 0, 0],
        b"Pnamed\n".to_vec(),
        // protocol 0: numbers, booleans, text, a list, a tuple and a dictionary; the memo
        b"I5\n".to_vec(),
        b"I01\n".to_vec(),
        b"L123456789012345678901234567890L\n".to_vec(),
        b"L-5L\n".to_vec(),
        b"S'text'\np77\n0g77\n".to_vec(),
        b"Vte\\u0078t\n".to_vec(),
        b"(I1\nI2\nl".to_vec(),
        b"(I1\nI2\nt".to_vec(),
        b"(I1\nI2\nd".to_vec(),
        // a mark that is taken back, a value twice
        b"(0N20".to_vec(),
        b"(I1\n1N".to_vec(),
    ]
}

#[test]
fn bookkeeping_beside_the_tensors_is_passed_over() {
    let weight = || tensor(reference("FloatStorage", "0", 1), 0, &[1], &[1]);
    for (place, value) in bookkeeping().into_iter().enumerate() {
        let state = || dict(&[("fc.bias", weight())]);
        let object = dict(&[("extra", value.clone()), ("state_dict", state())]);
        let beside = dict(&[("fc.bias", weight()), ("extra", value.clone())]);
        for object in [object, beside] {
            let state = open(&archive(object, &[("0", floats([7.]))]));
            let state = state.unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(
                (names(&state), values(&state[0].1)),
                (vec!["fc.bias"], vec![7.])
            );
        }
        let instead = dict(&[("fc.weight", weight()), ("fc.bias", value)]);
        let message = refusal(&archive(instead, &[("0", floats([7.]))]));
        assert!(
            message.starts_with("m.pth: `fc.bias`: expected a tensor, found"),
            "{place}: {message}"
        );
    }
}

#[test]
fn dictionaries_of_every_kind_hold_a_state_dict() {
    let weight = || tensor(reference("FloatStorage", "0", 1), 0, &[1], &[1]);
    let filled = |class: Vec<u8>| {
        [
            class,
            b"(".to_vec(),
            text("fc.bias"),
            weight(),
            b"u".to_vec(),
        ]
        .concat()
    };
    let pair = [b"](".to_vec(), text("fc.bias"), weight(), b"e".to_vec()].concat();
    let pairs = [b"](".to_vec(), pair, b"e".to_vec()].concat();
    for object in [
        filled(b"}".to_vec()),
        filled(call(global("collections", "defaultdict"), &[b"N".to_vec()])),
        filled(call(global("easydict", "EasyDict"), &[])),
        call(global("collections", "OrderedDict"), &[pairs]),
        tuple(&[int(3), filled(b"}".to_vec())]),
    ] {
        let state = open(&archive(object, &[("0", floats([7.]))])).unwrap();
        assert_eq!(names(&state), ["fc.bias"]);
    }
}

#[test]
fn averaged_weights_and_optimisers_stand_back() {
    let state = |key: &str| {
        let value = tensor(reference("FloatStorage", key, 1), 0, &[1], &[1]);
        dict(&[("fc.bias", value)])
    };
    let storages = [
        ("0", floats([1.])),
        ("1", floats([2.])),
        ("2", floats([3.])),
    ];
    let object = dict(&[
        ("optimizer", state("2")),
        ("model_ema", state("1")),
        ("my_net", state("0")),
    ]);
    let read = read(Path::new("m.pth"), &archive(object, &storages)).unwrap();
    assert_eq!(values(&read.tensors[0].1), [1.]);
    assert_eq!(
        read.warnings,
        ["the weights under `my_net` are taken, not those under `model_ema`"]
    );
}

#[test]
fn tensors_of_subclasses_and_of_old_protocols_are_read() {
    let arguments = tuple(&[
        reference("FloatStorage", "0", 1),
        int(0),
        ints(&[1]),
        ints(&[1]),
        vec![0x89],
        b"}".to_vec(),
    ]);
    let typed = call(
        global("torch._tensor", "_rebuild_from_type_v2"),
        &[
            global("torch._utils", "_rebuild_tensor_v2"),
            global("my", "Tensor"),
            arguments,
            b"}".to_vec(),
        ],
    );
    let state = open(&archive(
        dict(&[("fc.bias", typed)]),
        &[("0", floats([7.]))],
    ))
    .unwrap();
    assert_eq!(values(&state[0].1), [7.]);
    // protocol 1: no PROTO, numbers in digits
    let object = dict(&[(
        "fc.bias",
        tensor(part("FloatStorage", "0", 1, None), 0, &[1], &[1]),
    )]);
    let list = [b"](".to_vec(), text("0"), b"e".to_vec()].concat();
    let pickles = [
        b"L119547037146038801333356L\n".to_vec(),
        b"I1001\n".to_vec(),
        b"}".to_vec(),
        object,
        list,
    ];
    let mut bytes: Vec<u8> = pickles
        .iter()
        .flat_map(|body| [body.as_slice(), b"."].concat())
        .collect();
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(floats([7.]));
    assert_eq!(values(&open(&bytes).unwrap()[0].1), [7.]);
}

#[test]
fn calls_that_copy_without_end_are_refused() {
    // a list of a thousand pairs, made into a dictionary ten thousand times
    let pair = [b"](".to_vec(), text("a"), int(1), b"e".to_vec()].concat();
    let list = [b"](".to_vec(), pair.repeat(1000), b"eq\x00".to_vec()].concat();
    let once = [
        global("collections", "OrderedDict"),
        b"h\x00\x85R0".to_vec(),
    ]
    .concat();
    let object = [list, once.repeat(10_000)].concat();
    assert!(refusal(&archive(object, &[])).contains("at most 2097152 values, found more"));
}
