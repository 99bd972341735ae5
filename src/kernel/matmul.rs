//! A checked door to the `gemm` crate: the only file with `unsafe`.
#![allow(unsafe_code)]

/// A matrix in a slice, row-major or its transpose.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` x `columns`, row-major. The slice holds exactly that many values.
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "matrix of {rows} x {columns}");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = a b`, or `out += a b`; `out` is row-major, rows of `a` x columns of `b`. One thread: the
/// order of additions, and so every bit of the result, does not depend on the number of threads.
pub(super) fn matmul(a: Matrix, b: Matrix, out: &mut [f32], add: bool) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    assert_eq!(out.len(), a.rows * b.columns, "size of a product");
    // SAFETY: `Matrix::new` checked that each slice holds rows x columns values, and strides are
    // those of the row-major layout or its transpose; `out` was checked above, is row-major and,
    // being `&mut`, overlaps neither input.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_match_the_plain_loops_in_every_orientation() {
        for (m, k, n) in [(1, 1, 1), (2, 3, 4), (6, 25, 784), (16, 150, 100), (17, 1, 5)] {
            let a: Vec<f32> = (0..m * k).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i % 7) as f32 - 3.0).collect();
            let mut plain = vec![0f32; m * n];
            for (row, line) in plain.chunks_mut(n).enumerate() {
                for (column, out) in line.iter_mut().enumerate() {
                    *out = (0..k).map(|i| a[row * k + i] * b[i * n + column]).sum();
                }
            }
            let mut out = vec![0f32; m * n];
            matmul(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut out, false);
            assert_eq!(out, plain, "{m} {k} {n}");
            let turned: Vec<f32> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
            matmul(Matrix::new(&turned, k, m).transposed(), Matrix::new(&b, k, n), &mut out, true);
            let twice: Vec<f32> = plain.iter().map(|x| 2.0 * x).collect();
            assert_eq!(out, twice, "{m} {k} {n} transposed, added");
        }
    }
}
