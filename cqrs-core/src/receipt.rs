//! What an append answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::store::StoreId;

/// Proof that events are in the log, and where: hand it to whoever has to read what was written.
///
/// It is serialisable, and has a text form that fits a header or a cookie:
///
/// ```
/// use cqrs_core::Receipt;
///
/// let text = "000102030405060708090a0b0c0d0e0f-7-9";
/// let receipt: Receipt = text.parse()?;
/// assert_eq!((receipt.first, receipt.last), (7, 9));
/// assert_eq!(receipt.to_string(), text);
/// # Ok::<(), cqrs_core::ParseReceiptError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(crate = "serde")]
pub struct Receipt {
    /// The log's identity.
    pub store: StoreId,
    /// The position of the first event.
    pub first: u64,
    /// The position of the last; one less than `first` if nothing was to be appended.
    pub last: u64,
}

impl Receipt {
    /// How many events it stands for.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.last.saturating_add(1).saturating_sub(self.first)
    }

    /// Whether nothing was to be appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.store, self.first, self.last)
    }
}

/// A text that is no [`Receipt`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a receipt: one reads `<store, 32 hexadecimal digits>-<first position>-<last position>`"
)]
pub struct ParseReceiptError {
    /// The text.
    pub text: String,
}

impl FromStr for Receipt {
    type Err = ParseReceiptError;
    fn from_str(text: &str) -> Result<Self, ParseReceiptError> {
        let parse = || {
            let mut parts = text.split('-');
            let store = parts.next()?.parse().ok()?;
            // Digits, and nothing before them.
            let number =
                |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
            let first = number(parts.next()?)?;
            let last: u64 = number(parts.next()?)?;
            (parts.next().is_none() && last < u64::MAX).then_some(Self { store, first, last })
        };
        parse().ok_or_else(|| ParseReceiptError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_text_and_serde() {
        let receipt = Receipt { store: StoreId([7; 16]), first: 3, last: 9 };
        assert_eq!(receipt.to_string().parse(), Ok(receipt));
        let mut bytes = Vec::new();
        crate::codec::encode("Receipt", &receipt, &mut bytes).unwrap();
        assert_eq!(crate::codec::decode::<Receipt>(&bytes).unwrap(), receipt);
        assert_eq!(receipt.len(), 7);
        // Whoever has made it.
        assert!(!Receipt { last: u64::MAX, ..receipt }.is_empty());
        for wrong in [
            "",
            "-1-2",
            "00-1-2",
            "07070707070707070707070707070707-1",
            "0707070707070707070707070707070x-1-2",
            "07070707070707070707070707070707-+1-2",
            "+7+7+7+7+7+7+7+7+7+7+7+7+7+7+7+7-1-2",
        ] {
            assert!(wrong.parse::<Receipt>().unwrap_err().to_string().contains("is not a receipt"));
        }
    }
}
