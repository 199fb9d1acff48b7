//! What is told to a destination out of band about numbers it will not get.

/// The longest beginning of `text` that fits in `max` bytes and ends between characters.
pub fn cut_to(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
