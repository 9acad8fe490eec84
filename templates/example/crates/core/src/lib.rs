//! Amounts, categories and entries: what everything else in Tally talks about.

mod amount;

use serde::{Deserialize, Serialize};
use tally_macros::Labels;

pub use amount::{Amount, AmountError};

/// What money was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Labels)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Food,
    Home,
    Travel,
    Other,
}

/// One thing that was bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub what: String,
    pub category: Category,
    pub amount: Amount,
}

/// Adds up the entries of each category that has any, in the order of the categories.
///
/// ```
/// use tally_core::{Category, Entry, totals};
///
/// let entry = Entry { what: "bread".into(), category: Category::Food, amount: "3.20 EUR".parse()? };
/// assert_eq!(vec![(Category::Food, 640)], totals(&[entry.clone(), entry]));
/// # Ok::<(), tally_core::AmountError>(())
/// ```
pub fn totals(entries: &[Entry]) -> Vec<(Category, u64)> {
    Category::ALL
        .into_iter()
        .map(|category| (category, sum(entries, category)))
        .filter(|(_, total)| *total > 0)
        .collect()
}

fn sum(entries: &[Entry], category: Category) -> u64 {
    entries
        .iter()
        .filter(|entry| entry.category == category)
        .map(|entry| entry.amount.minor)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_a_label() {
        let labels: Vec<_> = Category::ALL.into_iter().map(Category::label).collect();
        assert_eq!(vec!["food", "home", "travel", "other"], labels);
    }

    #[test]
    fn a_category_without_entries_has_no_total() {
        assert!(totals(&[]).is_empty());
    }
}
