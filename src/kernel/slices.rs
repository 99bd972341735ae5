//! Values of candle tensors as slices, and tensors of values; contiguous f32 on the CPU alone.

use candle_core::{CpuStorage, DType, Layout, Shape, Storage, Tensor};

/// True where the kernels can take a tensor: f32 on the CPU.
pub(super) fn is_ours(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// Values of a storage in the order of its layout.
///
/// # Errors
/// Where they are not contiguous f32.
pub fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("a kernel needs contiguous tensors, not {layout:?}"),
    }
}

/// Lends the values of a tensor, uncopied.
///
/// # Errors
/// That of the borrower, or where the values are not contiguous f32 on the CPU.
pub fn with_values<R>(
    tensor: &Tensor,
    use_values: impl FnOnce(&[f32]) -> candle_core::Result<R>,
) -> candle_core::Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => use_values(values(storage, layout)?),
        _ => candle_core::bail!("a kernel of the CPU was called with a tensor on a GPU"),
    }
}

/// An error with what it is caused by, for tests.
#[cfg(test)]
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// A result of a kernel as candle takes it.
pub(super) fn stored(values: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(values), shape.into())
}
