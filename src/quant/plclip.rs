//! `plclip`: per-layer clipping, the range follows each layer's largest weight at every forward pass.

/// `α_l = max(0.2, m_l / max_k m_k) · plclip` with `m` the largest absolute weights; f32 as the reference.
pub fn layer_range(plclip: f32, max_of_layer: f32, max_of_network: f32) -> f32 {
    let fraction = if max_of_network > 0.0 {
        max_of_layer / max_of_network
    } else {
        1.0
    };
    fraction.max(0.2) * plclip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_layer_gets_the_whole_range_and_small_ones_a_fifth() {
        assert_eq!(layer_range(0.1, 3.0, 3.0), 0.1);
        assert_eq!(layer_range(0.1, 1.5, 3.0), 0.05);
        assert_eq!(layer_range(0.1, 0.01, 3.0), 0.2 * 0.1);
        assert_eq!(layer_range(0.1, 0.0, 0.0), 0.1);
    }
}
