//! Amounts as people write them.

use tally_core::{Amount, AmountError};

#[test]
fn what_is_read_is_what_is_shown() {
    for text in ["3.20 EUR", "0.05 USD", "1200 JPY", "7.125 KWD"] {
        assert_eq!(text, text.parse::<Amount>().unwrap().to_string());
    }
}

#[test]
fn missing_digits_are_zero() {
    assert_eq!("3.50 EUR", "3.5 EUR".parse::<Amount>().unwrap().to_string());
}

#[test]
fn an_unknown_currency_is_named() {
    assert_eq!(
        Err(AmountError::Currency("XYZ".into())),
        "1 XYZ".parse::<Amount>()
    );
}
