//! Fixtures are written here by hand, byte by byte; one real checkpoint is read where it is at hand.

use super::read_state_dict;
use super::state_dict_of as read;
use crate::error::Result;
use crate::seed::{Purpose, Seed};
use candle_core::{DType, Tensor};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

mod forms;

type State = Vec<(String, Tensor)>;

// ---- writing pickles ----

fn text(value: &str) -> Vec<u8> {
    [
        b"X".as_slice(),
        &(value.len() as u32).to_le_bytes(),
        value.as_bytes(),
    ]
    .concat()
}

fn int(value: i32) -> Vec<u8> {
    [b"J".as_slice(), &value.to_le_bytes()].concat()
}

fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), items.concat(), b"t".to_vec()].concat()
}

fn ints(values: &[i32]) -> Vec<u8> {
    tuple(&values.iter().map(|&v| int(v)).collect::<Vec<_>>())
}

fn call(function: Vec<u8>, arguments: &[Vec<u8>]) -> Vec<u8> {
    [function, tuple(arguments), b"R".to_vec()].concat()
}

/// An OrderedDict, with the `_metadata` attribute that PyTorch gives it.
fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = entries
        .iter()
        .flat_map(|(key, value)| [text(key), value.clone()].concat())
        .collect();
    let metadata = [b"}".to_vec(), text("_metadata"), b"}sb".to_vec()].concat();
    [
        call(global("collections", "OrderedDict"), &[]),
        b"(".to_vec(),
        items,
        b"u".to_vec(),
        metadata,
    ]
    .concat()
}

fn reference(class: &str, key: &str, elements: i32) -> Vec<u8> {
    let id = tuple(&[
        text("storage"),
        global("torch", class),
        text(key),
        text("cpu"),
        int(elements),
    ]);
    [id, b"Q".to_vec()].concat()
}

/// The same in the legacy form, with the part `[start, start + len)` of the storage.
fn part(class: &str, key: &str, elements: i32, view: Option<(i32, i32)>) -> Vec<u8> {
    let view = match view {
        None => b"N".to_vec(),
        Some((start, len)) => tuple(&[text("view"), int(start), int(len)]),
    };
    let id = tuple(&[
        text("storage"),
        global("torch", class),
        text(key),
        text("cuda:0"),
        int(elements),
        view,
    ]);
    [id, b"Q".to_vec()].concat()
}

fn tensor(storage: Vec<u8>, offset: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
    let hooks = call(global("collections", "OrderedDict"), &[]);
    call(
        global("torch._utils", "_rebuild_tensor_v2"),
        &[
            storage,
            int(offset),
            ints(shape),
            ints(stride),
            vec![0x89],
            hooks,
        ],
    )
}

fn pickle(body: Vec<u8>) -> Vec<u8> {
    [vec![0x80, 2], body, b".".to_vec()].concat()
}

// ---- writing containers ----

fn archive_of(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(
            *name,
            SimpleFileOptions::default().compression_method(method),
        )
        .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn archive(object: Vec<u8>, storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let object = pickle(object);
    let names: Vec<String> = storages
        .iter()
        .map(|(key, _)| format!("archive/data/{key}"))
        .collect();
    let mut entries: Vec<(&str, &[u8])> = vec![
        ("archive/data.pkl", &object),
        ("archive/byteorder", b"little"),
    ];
    entries.extend(
        names
            .iter()
            .zip(storages)
            .map(|(name, (_, bytes))| (name.as_str(), bytes.as_slice())),
    );
    entries.push(("archive/version", b"3\n"));
    archive_of(&entries, CompressionMethod::Stored)
}

fn stream_of(object: Vec<u8>, storages: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
    let magic = [vec![0x8a, 10], super::container::MAGIC.to_vec()].concat();
    let system = [
        b"}".to_vec(),
        text("little_endian"),
        vec![0x88],
        b"s".to_vec(),
    ]
    .concat();
    let keys: Vec<u8> = storages.iter().flat_map(|(key, ..)| text(key)).collect();
    let list = [b"](".to_vec(), keys, b"e".to_vec()].concat();
    let mut bytes: Vec<u8> = [magic, int(1001), system, object, list]
        .map(pickle)
        .concat();
    for (_, elements, data) in storages {
        bytes.extend(elements.to_le_bytes());
        bytes.extend(data);
    }
    bytes
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Two tensors of 2x3 and 2 elements.
fn small_archive() -> Vec<u8> {
    let object = dict(&[
        (
            "conv.weight",
            tensor(reference("FloatStorage", "0", 6), 0, &[2, 3], &[3, 1]),
        ),
        (
            "conv.bias",
            tensor(reference("FloatStorage", "1", 2), 0, &[2], &[1]),
        ),
    ]);
    archive(
        object,
        &[
            ("0", floats([1., 2., 3., 4., 5., 6.])),
            ("1", floats([-1., -2.])),
        ],
    )
}

fn small_stream() -> Vec<u8> {
    let object = dict(&[
        (
            "module.weight",
            tensor(part("FloatStorage", "94", 6, None), 0, &[2, 3], &[3, 1]),
        ),
        (
            "module.bias",
            tensor(part("FloatStorage", "94", 6, Some((4, 2))), 0, &[2], &[1]),
        ),
    ]);
    stream_of(object, &[("94", 6, floats([1., 2., 3., 4., 5., 6.]))])
}

// ---- reading ----

fn open(bytes: &[u8]) -> Result<State> {
    read(Path::new("m.pth"), bytes).map(|state| state.tensors)
}

fn refusal(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err();
    assert!(error.is_wrong_input(), "{error}");
    error.to_string()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn names(state: &State) -> Vec<&str> {
    state.iter().map(|(name, _)| name.as_str()).collect()
}

fn shared_weights(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WCAT_WEIGHTS_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("WCAT_REQUIRE_DATA").is_some_and(|value| value == "1");
    assert!(!required, "{} is required and missing", path.display());
    None
}

#[test]
fn the_published_resnet20_is_read_with_its_values() {
    let Some(path) = shared_weights("resnet20-12fca82f.th") else {
        println!("skipped: no resnet20-12fca82f.th");
        return;
    };
    let state = read_state_dict(&path).unwrap().tensors;
    assert_eq!(state.len(), 97);
    assert_eq!(state[0].0, "module.conv1.weight");
    assert_eq!(state[96].0, "module.linear.bias");
    assert_eq!(
        state.iter().map(|(_, t)| t.elem_count()).sum::<usize>(),
        271_098
    );
    let find = |name: &str| {
        let named = |(n, _): &&(String, Tensor)| n.strip_prefix("module.") == Some(name);
        &state.iter().find(named).unwrap().1
    };
    // decoded with Python's `struct` from the same file
    let conv = find("conv1.weight");
    assert_eq!(conv.dims(), [16, 3, 3, 3]);
    assert_eq!(
        &values(conv)[..3],
        &[-0.138_181_46, -0.162_417_68, 0.820_738_3]
    );
    assert_eq!(find("bn1.running_var").dims(), [16]);
    assert_eq!(values(find("bn1.running_var"))[15], 10.227_83);
    let last = find("layer3.2.conv2.weight");
    assert_eq!(last.dims(), [64, 64, 3, 3]);
    assert!(
        (values(last).iter().map(|&v| f64::from(v)).sum::<f64>() - 1.509_974_816_668).abs() < 1e-9
    );
    assert_eq!(find("linear.weight").dims(), [10, 64]);
    assert_eq!(values(find("linear.bias"))[9], -0.270_259_4);
}

#[test]
fn the_published_resnet20_cut_short_is_refused() {
    let Some(path) = shared_weights("resnet20-12fca82f.th") else {
        println!("skipped: no resnet20-12fca82f.th");
        return;
    };
    let bytes = std::fs::read(path).unwrap();
    let half = refusal(&bytes[..bytes.len() / 2]);
    assert!(half.contains("(is the file "), "{half}");
    refusal(&bytes[..bytes.len() - 1]);
}

#[test]
fn a_bare_state_dict_is_read_from_an_archive() {
    let state = open(&small_archive()).unwrap();
    assert_eq!(names(&state), ["conv.weight", "conv.bias"]);
    assert_eq!(
        state[0].1.to_vec2::<f32>().unwrap(),
        [[1., 2., 3.], [4., 5., 6.]]
    );
    assert_eq!(values(&state[1].1), [-1., -2.]);
}

#[test]
fn a_legacy_stream_is_read_with_views_of_a_shared_storage() {
    let state = open(&small_stream()).unwrap();
    assert_eq!(names(&state), ["module.weight", "module.bias"]);
    assert_eq!(
        state[0].1.to_vec2::<f32>().unwrap(),
        [[1., 2., 3.], [4., 5., 6.]]
    );
    assert_eq!(values(&state[1].1), [5., 6.]);
}

#[test]
fn a_nested_state_dict_is_found() {
    for under in [
        "state_dict",
        "model",
        "net",
        "network",
        "model_state_dict",
        "model_ema",
        "ema",
        "anything",
    ] {
        let inner = dict(&[(
            "module.fc.bias",
            tensor(reference("FloatStorage", "0", 1), 0, &[1], &[1]),
        )]);
        let bytes = archive(
            dict(&[("epoch", int(3)), (under, inner)]),
            &[("0", floats([7.]))],
        );
        let state = open(&bytes).unwrap();
        assert_eq!(names(&state), ["module.fc.bias"]);
        assert_eq!(values(&state[0].1), [7.]);
    }
}

#[test]
fn a_compressed_archive_without_a_folder_is_read() {
    let object = pickle(dict(&[(
        "w",
        tensor(reference("FloatStorage", "0", 100), 0, &[100], &[1]),
    )]));
    let data = floats([0.5; 100]);
    let bytes = archive_of(
        &[("data.pkl", &object), ("data/0", &data)],
        CompressionMethod::Deflated,
    );
    assert_eq!(values(&open(&bytes).unwrap()[0].1), [0.5; 100]);
}

#[test]
fn strided_and_offset_tensors_are_gathered() {
    let storage = || reference("FloatStorage", "0", 8);
    let object = dict(&[
        ("transposed", tensor(storage(), 0, &[3, 2], &[1, 3])),
        ("column", tensor(storage(), 1, &[3], &[3])),
        ("repeated", tensor(storage(), 7, &[2, 2], &[0, 0])),
        ("scalar", tensor(storage(), 4, &[], &[])),
        ("empty", tensor(storage(), 8, &[0, 3], &[3, 1])),
        ("one_row", tensor(storage(), 2, &[1, 2], &[99, 1])),
    ]);
    let state = open(&archive(object, &[("0", floats((0..8).map(|v| v as f32)))])).unwrap();
    assert_eq!(
        state[0].1.to_vec2::<f32>().unwrap(),
        [[0., 3.], [1., 4.], [2., 5.]]
    );
    assert_eq!(values(&state[1].1), [1., 4., 7.]);
    assert_eq!(values(&state[2].1), [7.; 4]);
    assert_eq!(state[3].1.to_scalar::<f32>().unwrap(), 4.);
    assert_eq!(state[4].1.dims(), [0, 3]);
    assert_eq!(state[5].1.to_vec2::<f32>().unwrap(), [[2., 3.]]);
}

#[test]
fn every_element_type_is_read_with_its_sign() {
    let one = |class: &str, bytes: Vec<u8>, elements: i32| {
        let object = dict(&[(
            "t",
            tensor(reference(class, "0", elements), 0, &[elements], &[1]),
        )]);
        open(&archive(object, &[("0", bytes)])).unwrap().remove(0).1
    };
    // 1.5, -2, the smallest subnormal
    let half = one("HalfStorage", vec![0x00, 0x3e, 0x00, 0xc0, 0x01, 0x00], 3);
    assert_eq!(
        (half.dtype(), values(&half)),
        (DType::F32, vec![1.5, -2., 2f32.powi(-24)])
    );
    assert_eq!(
        values(&one("BFloat16Storage", vec![0xc0, 0x3f, 0x00, 0xc0], 2)),
        [1.5, -2.]
    );
    let double: Vec<u8> = [0.1f64, -3.]
        .into_iter()
        .flat_map(f64::to_le_bytes)
        .collect();
    assert_eq!(values(&one("DoubleStorage", double, 2)), [0.1, -3.]);
    let integers = |class: &str, bytes: Vec<u8>| one(class, bytes, 1).to_vec1::<i64>().unwrap()[0];
    assert_eq!(
        integers("LongStorage", (-5_000_000_000i64).to_le_bytes().to_vec()),
        -5_000_000_000
    );
    assert_eq!(
        integers("IntStorage", (-70_000i32).to_le_bytes().to_vec()),
        -70_000
    );
    assert_eq!(
        integers("ShortStorage", (-300i16).to_le_bytes().to_vec()),
        -300
    );
    assert_eq!(integers("CharStorage", vec![0xff]), -1);
    assert_eq!(integers("ByteStorage", vec![0xff]), 255);
    assert_eq!(integers("BoolStorage", vec![1]), 1);
}

#[test]
fn parameters_and_the_opcodes_of_protocol_4_are_read() {
    let inner = tensor(reference("FloatStorage", "0", 1), 0, &[1], &[1]);
    let hooks = call(global("collections", "OrderedDict"), &[]);
    let parameter = call(
        global("torch._utils", "_rebuild_parameter"),
        &[inner, vec![0x88], hooks],
    );
    // PROTO 4, FRAME, short text, MEMOIZE, STACK_GLOBAL
    let name = |value: &str| {
        [
            vec![0x8c, value.len() as u8],
            value.as_bytes().to_vec(),
            vec![0x94],
        ]
        .concat()
    };
    let class = [name("collections"), name("OrderedDict"), vec![0x93, 0x94]].concat();
    let body = [
        class,
        b")R\x94(".to_vec(),
        name("p"),
        parameter,
        b"u.".to_vec(),
    ]
    .concat();
    let object = [
        vec![0x80, 4, 0x95],
        (body.len() as u64).to_le_bytes().to_vec(),
        body,
    ]
    .concat();
    let bytes = archive_of(
        &[("a/data.pkl", &object), ("a/data/0", &floats([2.5]))],
        CompressionMethod::Stored,
    );
    let state = open(&bytes).unwrap();
    assert_eq!((names(&state), values(&state[0].1)), (vec!["p"], vec![2.5]));
}

// ---- hostile and damaged files ----

#[test]
fn functions_are_never_called_and_named_where_a_tensor_should_be() {
    let attack = || call(global("os", "system"), &[text("touch owned")]);
    assert_eq!(
        refusal(&archive(dict(&[("fc.weight", attack())]), &[])),
        "m.pth: expected a state dict at the top level or under a key such as `state_dict` or `model`, found no \
         tensor among `fc.weight`"
    );
    let weight = || tensor(reference("FloatStorage", "0", 1), 0, &[1], &[1]);
    let storages = [("0", floats([1.]))];
    let object = dict(&[("fc.weight", attack()), ("fc.bias", weight())]);
    assert_eq!(
        refusal(&archive(object, &storages)),
        "m.pth: `fc.weight`: expected a tensor, found an object of `os.system`"
    );
    assert_eq!(
        refusal(&stream_of(attack(), &[])),
        "m.pth: expected a state dict, found an object of `os.system`"
    );
    let called = call(global("torch", "FloatStorage"), &[int(1 << 30)]);
    assert!(refusal(&archive(called, &[])).contains("found an object of `torch.Storage`"));
}

#[test]
fn lengths_beyond_the_file_are_refused() {
    for length in [u32::MAX, 1 << 30] {
        let body = [b"X".to_vec(), length.to_le_bytes().to_vec()].concat();
        let message = refusal(&archive(body, &[]));
        assert!(
            message.starts_with(&format!(
                "m.pth: expected {length} more bytes of the checkpoint's pickle"
            )),
            "{message}"
        );
    }
    let body = [vec![0x8d], u64::MAX.to_le_bytes().to_vec()].concat();
    assert!(refusal(&archive(body, &[])).contains("18446744073709551615 more bytes"));
}

#[test]
fn a_storage_that_lies_about_its_size_is_refused() {
    let object = |n| {
        dict(&[(
            "w",
            tensor(reference("FloatStorage", "0", n), 0, &[4], &[1]),
        )])
    };
    assert_eq!(
        refusal(&archive(object(1 << 30), &[("0", floats([0.; 4]))])),
        "m.pth: expected 4294967296 bytes in storage `0` (is the file damaged?), found 16 bytes"
    );
    assert_eq!(
        refusal(&archive(object(4), &[])),
        "m.pth: expected the archive's entry `archive/data/0`, undamaged, found no such entry"
    );
    let object = |n| {
        dict(&[(
            "w",
            tensor(part("FloatStorage", "0", n, None), 0, &[4], &[1]),
        )])
    };
    assert_eq!(
        refusal(&stream_of(object(5), &[("0", 4, floats([0.; 4]))])),
        "m.pth: expected 5 elements in storage `0` (is the file truncated?), found 4"
    );
    assert_eq!(
        refusal(&stream_of(
            object(1 << 30),
            &[("0", 1 << 30, floats([0.; 4]))]
        )),
        "m.pth: expected 4294967296 bytes in storage `0` (is the file damaged?), found 16 bytes"
    );
    let two = dict(&[
        (
            "a",
            tensor(part("FloatStorage", "0", 4, None), 0, &[4], &[1]),
        ),
        (
            "b",
            tensor(part("DoubleStorage", "0", 4, None), 0, &[4], &[1]),
        ),
    ]);
    assert_eq!(
        refusal(&stream_of(two, &[("0", 4, floats([0.; 4]))])),
        "m.pth: expected 4 elements of type Float in storage `0`, found 4 elements of type Double"
    );
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    let one = |offset, shape: &[i32], stride: &[i32]| {
        let object = dict(&[(
            "w",
            tensor(reference("FloatStorage", "0", 4), offset, shape, stride),
        )]);
        refusal(&archive(object, &[("0", floats([0.; 4]))]))
    };
    assert_eq!(
        one(1, &[4], &[1]),
        "m.pth: `w`: expected a tensor inside its storage of 4 elements, found shape [4] with strides [1] \
         from element 1"
    );
    let inside = "a tensor inside its storage of 4 elements";
    assert!(one(0, &[2, 2], &[3, 1]).contains(inside));
    assert!(one(0, &[i32::MAX, i32::MAX, i32::MAX], &[i32::MAX; 3]).contains(inside));
    assert!(one(0, &[0, i32::MAX, i32::MAX], &[1, 1, 1]).contains(inside));
    assert!(one(-1, &[1], &[1]).contains("a tensor's offset, found -1"));
    assert!(one(0, &[-1], &[1]).contains("a tensor's shape, found a tuple of 1"));
    assert!(one(0, &[4], &[-1]).contains("a stride, not negative"));
    assert!(one(0, &[4], &[]).contains("for each dimension"));
    assert!(one(0, &[1 << 20, 1 << 20], &[0, 0])
        .contains("in proportion to the file, found 1099511627776 elements"));
}

#[test]
fn what_is_no_state_dict_is_refused_by_name() {
    assert_eq!(
        refusal(&archive(dict(&[("epoch", int(3)), ("net", dict(&[("a", int(1))]))]), &[])),
        "m.pth: expected a state dict at the top level or under a key such as `state_dict` or `model`, found no \
         tensor among `epoch`, `net`"
    );
    assert_eq!(
        refusal(&archive(int(3), &[])),
        "m.pth: expected a state dict, found 3"
    );
    assert_eq!(
        refusal(&archive(dict(&[]), &[])),
        "m.pth: expected a state dict with tensors, found an empty one"
    );
    let weight = || tensor(reference("FloatStorage", "0", 1), 0, &[1], &[1]);
    let storages = [("0", floats([1.]))];
    assert_eq!(
        refusal(&archive(
            dict(&[("w", weight()), ("bn.running_var", int(3))]),
            &storages
        )),
        "m.pth: `bn.running_var`: expected a tensor, found 3"
    );
    assert_eq!(
        refusal(&archive(
            dict(&[("w", weight()), ("w", weight())]),
            &storages
        )),
        "m.pth: `w`: expected one tensor of this name, found two"
    );
    let complex = tensor(reference("ComplexFloatStorage", "0", 1), 0, &[1], &[1]);
    assert!(
        refusal(&archive(dict(&[("w", complex)]), &[("0", vec![0; 8])]))
            .contains("expected numbers of a type that weights have")
    );
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    let wrong =
        "m.pth: expected a PyTorch checkpoint: a zip archive, or a stream that begins with PyTorch's \
                 magic number, found ";
    assert_eq!(refusal(b""), format!("{wrong}an empty file"));
    assert_eq!(
        refusal(b"<html>Not found</html>"),
        format!("{wrong}a file that begins otherwise")
    );
    assert_eq!(
        refusal(&pickle(int(5))),
        format!("{wrong}a pickle that torch.save did not write")
    );
    assert_eq!(
        refusal(&archive_of(
            &[("a.txt", b"hello")],
            CompressionMethod::Stored
        )),
        "m.pth: expected an entry `data.pkl` in the archive, as torch.save writes it, found none"
    );
    let big = [
        ("a/data.pkl", pickle(dict(&[]))),
        ("a/byteorder", b"big".to_vec()),
    ];
    let big: Vec<(&str, &[u8])> = big
        .iter()
        .map(|(name, bytes)| (*name, bytes.as_slice()))
        .collect();
    assert_eq!(
        refusal(&archive_of(&big, CompressionMethod::Stored)),
        "m.pth: expected little-endian numbers, found another byte order"
    );
    let mut trailing = small_stream();
    trailing.push(0);
    assert_eq!(
        refusal(&trailing),
        "m.pth: expected the end of the file after the last storage, found 1 bytes"
    );
    let missing = read_state_dict(Path::new("no/such.pth")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no/such.pth: not found (expected a PyTorch checkpoint)"
    );
}

#[test]
fn a_dictionary_that_holds_itself_is_refused_without_end() {
    // {}, remembered as 0, then its own entry "state_dict" is slot 0
    let object = [b"}q\x00".to_vec(), text("state_dict"), b"h\x00s".to_vec()].concat();
    let message = refusal(&archive(object, &[]));
    assert_eq!(
        message,
        "m.pth: expected a state dict at the top level or under a key such as `state_dict` or `model`, found no \
         tensor among `state_dict`"
    );
    let list = [b"]q\x00".to_vec(), b"h\x00a".to_vec()].concat();
    assert_eq!(
        refusal(&archive(list, &[])),
        "m.pth: expected a state dict, found a list of 1"
    );
}

#[test]
fn archives_that_unpack_to_far_more_than_their_size_are_refused() {
    let n = 4 << 20;
    let object = pickle(dict(&[(
        "w",
        tensor(reference("ByteStorage", "0", n), 0, &[1], &[1]),
    )]));
    let zeros = vec![0; n as usize];
    let entries: [(&str, &[u8]); 2] = [("a/data.pkl", &object), ("a/data/0", &zeros)];
    let bytes = archive_of(&entries, CompressionMethod::Deflated);
    assert!(bytes.len() < 10_000);
    let message = refusal(&bytes);
    assert!(
        message.contains("unpacks to at most 16 times its size, found 4194304 more bytes"),
        "{message}"
    );
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = vec![b'('; 1_000_000];
    refusal(&archive(deep, &[]));
    let tuples = [b")".to_vec(), vec![0x85; 1_000_000]].concat();
    assert_eq!(
        refusal(&archive(tuples, &[])),
        "m.pth: expected a state dict, found a tuple of 1"
    );
    let many = vec![b']'; 1 << 22];
    assert!(refusal(&archive(many, &[])).contains("pickle of at most 2097152 values, found more"));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for whole in [small_archive(), small_stream()] {
        assert_eq!(open(&whole).unwrap().len(), 2);
        for end in 0..whole.len() {
            refusal(&whole[..end]);
        }
    }
}

#[test]
fn damaged_weights_of_an_archive_are_refused() {
    let mut bytes = small_archive();
    let weights = floats([1., 2., 3., 4., 5., 6.]);
    let at = bytes
        .windows(weights.len())
        .position(|window| window == weights)
        .unwrap();
    bytes[at] ^= 1;
    let message = refusal(&bytes);
    assert!(
        message.contains("the archive's entry `archive/data/0`, undamaged, found"),
        "{message}"
    );
}

/// Carries the address-space limit to the second process of the next test.
const LIMITED: &str = "WCAT_TEST_LIMITED";

/// Runs itself again under an address-space limit, where any giant allocation ends the process.
#[cfg(target_os = "linux")]
#[test]
fn damaged_files_neither_panic_nor_take_much_memory() {
    if std::env::var_os(LIMITED).is_some() {
        return flip_bytes();
    }
    let name = format!(
        "{}::damaged_files_neither_panic_nor_take_much_memory",
        module_path!()
    );
    let name = name.split_once("::").unwrap().1;
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -v 1000000; exec \"$0\" \"$1\" --exact --test-threads=1",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{output:?}"
    );
}

#[cfg(target_os = "linux")]
fn flip_bytes() {
    let mut stream = Seed(17).stream(Purpose::Test, &[]);
    let (mut read, mut refused) = (0, 0);
    for whole in [small_archive(), small_stream()] {
        for _ in 0..10_000 {
            let mut bytes = whole.clone();
            for _ in 0..=stream.below(4) {
                let at = stream.below(bytes.len() as u64) as usize;
                bytes[at] = match stream.below(3) {
                    0 => 0xff,
                    1 => bytes[at] ^ (1 << stream.below(8)),
                    _ => stream.below(256) as u8,
                };
            }
            match open(&bytes) {
                Ok(_) => read += 1,
                Err(error) => {
                    assert!(error.is_wrong_input(), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(
        read > 100 && refused > 10_000,
        "{read} read, {refused} refused"
    );
}
