//! Totals as bars.

#[cfg(feature = "png")]
mod picture;

use tally_core::Category;

#[cfg(feature = "png")]
pub use picture::png;

const WIDTH: u64 = 40;

/// Draws one line a category; the longest bar is 40 characters.
///
/// ```
/// use tally_core::Category;
///
/// let text = tally_chart::bars(&[(Category::Food, 50), (Category::Home, 100)]);
/// assert_eq!(2, text.lines().count());
/// ```
pub fn bars(totals: &[(Category, u64)]) -> String {
    let most = most(totals);
    totals
        .iter()
        .map(|(category, total)| {
            let length = (total * WIDTH / most) as usize;
            format!("{:<7} {}\n", category.label(), "█".repeat(length))
        })
        .collect()
}

fn most(totals: &[(Category, u64)]) -> u64 {
    totals
        .iter()
        .map(|(_, total)| *total)
        .max()
        .unwrap_or(0)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_total_has_the_longest_bar() {
        let text = bars(&[(Category::Food, 25), (Category::Home, 100)]);
        assert_eq!(
            format!("food    {}\nhome    {}\n", "█".repeat(10), "█".repeat(40)),
            text
        );
    }

    #[test]
    fn nothing_is_drawn_for_nothing() {
        assert_eq!("", bars(&[]));
    }
}
