use std::io::Cursor;

use image::{ImageError, ImageFormat, Rgb, RgbImage};
use tally_core::Category;

const BAR: u32 = 16;
const WIDTH: u32 = 320;

/// Draws the totals as a PNG picture, one bar a category.
///
/// # Errors
///
/// Fails when the picture cannot be encoded.
pub fn png(totals: &[(Category, u64)]) -> Result<Vec<u8>, ImageError> {
    let most = crate::most(totals);
    let mut picture = RgbImage::from_pixel(WIDTH, BAR * totals.len().max(1) as u32, Rgb([255; 3]));
    for (row, (_, total)) in totals.iter().enumerate() {
        let length = (total * u64::from(WIDTH) / most) as u32;
        for x in 0..length {
            for y in 2..BAR - 2 {
                picture.put_pixel(x, row as u32 * BAR + y, Rgb([183, 65, 14]));
            }
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_as_high_as_it_has_bars() {
        let bytes = png(&[(Category::Food, 1), (Category::Home, 2)]).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap();
        assert_eq!((WIDTH, 2 * BAR), (picture.width(), picture.height()));
    }
}
