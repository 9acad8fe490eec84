use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

include!(concat!(env!("OUT_DIR"), "/currencies.rs"));

/// An amount of money in the smallest unit of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount {
    pub minor: u64,
    pub currency: String,
}

/// Why a text is not an amount.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AmountError {
    #[error("expected an amount such as `3.20 EUR`, found `{0}`")]
    Shape(String),
    #[error("unknown currency `{0}`")]
    Currency(String),
}

impl Amount {
    fn digits(&self) -> u32 {
        CURRENCIES
            .iter()
            .find(|(code, _)| *code == self.currency.as_str())
            .map_or(2, |(_, digits)| *digits)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let shape = || AmountError::Shape(text.to_owned());
        let (number, code) = text.split_once(' ').ok_or_else(shape)?;
        let (currency, digits) = *CURRENCIES
            .iter()
            .find(|(known, _)| *known == code)
            .ok_or_else(|| AmountError::Currency(code.to_owned()))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > digits as usize {
            return Err(shape());
        }
        let minor = format!("{whole}{fraction:0<width$}", width = digits as usize)
            .parse()
            .map_err(|_| shape())?;
        Ok(Self {
            minor,
            currency: currency.to_owned(),
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let unit = 10_u64.pow(digits);
        write!(f, "{}", self.minor / unit)?;
        if digits > 0 {
            write!(f, ".{:0width$}", self.minor % unit, width = digits as usize)?;
        }
        write!(f, " {}", self.currency)
    }
}

impl TryFrom<String> for Amount {
    type Error = AmountError;

    fn try_from(text: String) -> Result<Self, AmountError> {
        text.parse()
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}
