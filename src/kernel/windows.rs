//! Where the windows of a convolution lie in images: any sides, strides, distances and paddings.

/// Windows over images; of each pair the first is along the height. Padding in front is above and on the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Sides of a window.
    pub kernel: [usize; 2],
    /// Pixels from a window to the next.
    pub stride: [usize; 2],
    /// Pixels between neighbours in a window.
    pub dilation: [usize; 2],
    /// Pixels of zeros in front.
    pub front: [usize; 2],
    /// Pixels of zeros behind.
    pub behind: [usize; 2],
}

impl Windows {
    /// Square ones of neighbouring pixels, padded alike on all sides.
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            front: [padding; 2],
            behind: [padding; 2],
        }
    }

    /// The widest padding.
    pub fn padding(&self) -> usize {
        let [top, left] = self.front;
        let [below, right] = self.behind;
        top.max(left).max(below).max(right)
    }

    /// Windows along an axis of this length; `None` where none fits.
    pub fn count(&self, axis: usize, length: usize) -> Option<usize> {
        let reach = self.kernel[axis].checked_sub(1)? * self.dilation[axis] + 1;
        let room = (length + self.front[axis] + self.behind[axis]).checked_sub(reach)?;
        Some(room.checked_div(self.stride[axis])? + 1)
    }
}
