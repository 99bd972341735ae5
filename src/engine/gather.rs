//! Numbers of other values in other places, and values laid out otherwise, as calls of a plan.

use super::layout::Layout;
use crate::kernel::BLOCK;

/// What is copied for each image.
#[derive(Debug)]
pub(super) struct Gather {
    /// Numbers that depend on no image, with their places.
    fixed: Vec<(u32, f32)>,
    parts: Vec<Part>,
    /// From an image of the result to the next.
    stride: usize,
}

/// What is copied from one buffer.
#[derive(Debug)]
struct Part {
    /// Places in the result and in the buffer of as many numbers as `unit` says.
    places: Vec<[u32; 2]>,
    unit: usize,
    /// From an image of the buffer to the next.
    stride: usize,
}

impl Gather {
    /// Into a layout; `parts`: layouts of buffers, with places in the result and there, both in row-major order.
    pub(super) fn new(fixed: &[(u32, f32)], parts: &[(Layout, &[[u32; 2]])], to: Layout) -> Self {
        let of_result = to.places();
        let part = |(from, places): &(Layout, &[[u32; 2]])| {
            let own = from.places();
            let places = places.iter();
            let places = places.map(|[to, from]| [of_result[*to as usize], own[*from as usize]]);
            Part::new(places.collect(), from.stride())
        };
        let fixed = fixed.iter();
        Self {
            fixed: fixed
                .map(|(to, number)| (of_result[*to as usize], *number))
                .collect(),
            parts: parts.iter().map(part).collect(),
            stride: to.stride(),
        }
    }

    /// All numbers of a buffer in another layout.
    pub(super) fn laid(from: Layout, to: Layout) -> Self {
        let places: Vec<[u32; 2]> = (0..from.numbers() as u32).map(|at| [at, at]).collect();
        Self::new(&[], &[(from, &places)], to)
    }

    /// Copies for an image of the group.
    #[inline(always)]
    pub(super) fn forward<'a>(
        &self,
        buffers: impl Iterator<Item = &'a [f32]>,
        image: usize,
        output: &mut [f32],
    ) {
        let output = &mut output[image * self.stride..];
        for (to, number) in &self.fixed {
            output[*to as usize] = *number;
        }
        for (part, buffer) in self.parts.iter().zip(buffers) {
            let input = &buffer[image * part.stride..];
            match part.unit {
                BLOCK => copy::<BLOCK>(&part.places, input, output),
                8 => copy::<8>(&part.places, input, output),
                _ => copy::<1>(&part.places, input, output),
            }
        }
    }
}

impl Part {
    /// Neighbours that stay neighbours are copied together.
    fn new(mut places: Vec<[u32; 2]>, stride: usize) -> Self {
        places.sort_unstable();
        let stays = |unit: usize| {
            places.chunks(unit).all(|places| {
                let moved = |at: usize| [places[0][0] + at as u32, places[0][1] + at as u32];
                places.len() == unit && places.iter().enumerate().all(|(at, own)| *own == moved(at))
            })
        };
        let unit = [BLOCK, 8].into_iter().find(|unit| stays(*unit));
        let unit = unit.unwrap_or(1);
        Self {
            places: places.into_iter().step_by(unit).collect(),
            unit,
            stride,
        }
    }
}

#[inline(always)]
fn copy<const N: usize>(places: &[[u32; 2]], input: &[f32], output: &mut [f32]) {
    for [to, from] in places {
        let numbers: &[f32] = &input[*from as usize..][..N];
        output[*to as usize..][..N].copy_from_slice(numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Planes;

    #[test]
    fn numbers_go_through_every_layout_and_back_in_any_order() {
        let planes = Planes::new(20, 3, 2, 1).unwrap();
        let vectors = Planes::new(120, 1, 4, 0).unwrap();
        let layouts = [
            Layout::Images(planes),
            Layout::Vectors(vectors),
            Layout::Rows(120),
        ];
        // 16 numbers stay together in the second order
        let turned = (0..120u32).map(|at| [at, 119 - at]).collect::<Vec<_>>();
        let halves = (0..120u32)
            .map(|at| [at, (at + 16) % 120])
            .collect::<Vec<_>>();
        for (from, to) in layouts
            .iter()
            .flat_map(|from| layouts.map(|to| (*from, to)))
        {
            for places in [&turned[8..], &halves[..112]] {
                let fixed = [(0, 7.0)];
                let gather = Gather::new(&fixed, &[(from, places)], to);
                let (mut input, mut output) = (vec![0.0; from.len(4)], vec![0.0; to.len(4)]);
                for image in 0..4 {
                    let numbers: Vec<f32> = (0..120).map(|at| (at + 200 * image) as f32).collect();
                    from.fill(&numbers, &mut input, image);
                    gather.forward([&input[..]].into_iter(), image, &mut output);
                    let found = to.read(&output, image);
                    for [to, from] in places.iter().filter(|[to, _]| *to > 0) {
                        assert_eq!(found[*to as usize], numbers[*from as usize]);
                    }
                }
            }
        }
    }
}
