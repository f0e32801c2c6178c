//! Bytes that are usually text. In files they are text where they can be, and `hex:…` otherwise.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A data value or password.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Data(pub Vec<u8>);

impl Data {
    /// The value as text, bytes that are none in hexadecimal.
    pub fn text(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with("hex:") => text.into(),
            _ => {
                let mut text = String::from("hex:");
                for byte in &self.0 {
                    text.push_str(&format!("{byte:02x}"));
                }
                text
            }
        }
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Data {
        Data(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Data {
        Data(bytes.to_vec())
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Data, D::Error> {
        let text = String::deserialize(deserializer)?;
        let Some(digits) = text.strip_prefix("hex:") else {
            return Ok(Data(text.into_bytes()));
        };
        let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
        let pairs = digits.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        bytes.collect::<Option<Vec<u8>>>().map(Data).ok_or_else(|| D::Error::custom("hex: expected pairs of digits"))
    }
}
