//! The picture on a screen, as a PNG.

/// What a PNG begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// No screen has more pixels on a side.
const MAX_SIDE: u32 = 16_384;

/// Makes a PNG of what libvirt gave; none where that is no picture. QEMU makes a binary portable pixmap of 8 bits a colour
/// (`P6`), and what is a PNG already stays as it is.
pub(super) fn png(picture: Vec<u8>) -> Option<Vec<u8>> {
    if picture.starts_with(PNG) {
        return Some(picture);
    }
    let (width, height, pixels) = pixmap(&picture)?;
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(out)
}

/// Width, height and pixels of a portable pixmap.
fn pixmap(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut numbers = [0u32; 3];
    for number in &mut numbers {
        rest = rest.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (text, after) = rest.split_at(digits);
        *number = std::str::from_utf8(text).ok()?.parse().ok()?;
        rest = after;
    }
    let [width, height, most] = numbers;
    // One space ends the numbers; what comes then may look like one.
    let (space, pixels) = rest.split_first()?;
    let fits = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) && most == 255;
    let length = usize::try_from(u64::from(width) * u64::from(height) * 3).ok()?;
    if !fits || !space.is_ascii_whitespace() {
        return None;
    }
    Some((width, height, pixels.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixmap_becomes_a_png_with_the_same_pixels() {
        let pixels = b"\n\x00\xff123abc\x20\x0a\x7f";
        let made = png([b"P6\n2 2\n255\n".as_slice(), pixels].concat()).unwrap();
        assert_eq!(png(made.clone()).as_ref(), Some(&made), "what is a PNG stays as it is");
        let mut reader = png::Decoder::new(std::io::Cursor::new(made)).read_info().unwrap();
        let mut read = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut read).unwrap();
        assert_eq!((frame.width, frame.height, &read[..]), (2, 2, &pixels[..]));
    }

    #[test]
    fn what_is_no_picture_is_none() {
        for bad in [
            "",
            "P6",
            "P6\n2 2\n255",
            "P5\n1 1\n255\n123",
            "P6\n0 1\n255\n",
            "P6\n2 2\n255\n1234",
            "P6\n1 1\n65535\n123456",
            "P6\n99999999999 1\n255\n123",
            "P6\n65536 65536\n255\n123",
            "P6\n-1 1\n255\n123",
        ] {
            assert_eq!(png(bad.as_bytes().to_vec()), None, "{bad:?}");
        }
    }
}
