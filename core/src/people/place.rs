//! Where a role counts.

use chatcode_proto::{
    code::Refusal,
    id::GatewayId,
    label::{self, Labels},
    pb::{self, Code, place},
};

/// Where a role counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Everywhere, and for the installation itself.
    Everything,
    /// On the gateways with this label.
    Label {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// On this gateway.
    Gateway(GatewayId),
}

/// A machine as places see it.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Its id.
    pub id: GatewayId,
    /// Its labels.
    pub labels: &'a Labels,
}

impl Place {
    /// Whether the machine is there.
    #[must_use]
    pub fn has(&self, machine: &Machine<'_>) -> bool {
        match self {
            Self::Everything => true,
            Self::Label { key, value } => machine.labels.get(key) == Some(value),
            Self::Gateway(id) => *id == machine.id,
        }
    }

    /// What [`Self::text`] made; `None` for anything else.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Everything);
        }
        if let Some(id) = text.strip_prefix("gateway:") {
            return id.parse().ok().map(Self::Gateway);
        }
        let (key, value) = label::parse(text.strip_prefix("label:")?).ok()?;
        Some(Self::Label { key, value })
    }

    /// As it is kept: empty for everything, "label:KEY=VALUE", "gateway:ID".
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Everything => String::new(),
            Self::Label { key, value } => format!("label:{key}={value}"),
            Self::Gateway(id) => format!("gateway:{id}"),
        }
    }

    /// As it crosses the wire.
    #[must_use]
    pub fn message(&self) -> pb::Place {
        let place = match self.clone() {
            Self::Everything => place::Place::Everything(true),
            Self::Label { key, value } => place::Place::Label(pb::PlaceLabel { key, value }),
            Self::Gateway(id) => place::Place::Gateway(id.to_string()),
        };
        pb::Place { place: Some(place) }
    }
}

impl TryFrom<&pb::Place> for Place {
    type Error = Refusal;

    /// # Errors
    /// `INVALID` for a message that names no place.
    fn try_from(message: &pb::Place) -> Result<Self, Refusal> {
        match &message.place {
            Some(place::Place::Everything(true)) => Ok(Self::Everything),
            Some(place::Place::Label(pb::PlaceLabel { key, value })) => {
                label::check(&Labels::from([(key.clone(), value.clone())]))?;
                Ok(Self::Label { key: key.clone(), value: value.clone() })
            }
            Some(place::Place::Gateway(id)) => {
                let words = "the place names no id of a machine; list the machines to see theirs";
                id.parse().map(Self::Gateway).map_err(|_| Refusal::new(Code::Invalid, words))
            }
            Some(place::Place::Everything(false)) | None => {
                let words = "the place is missing; name everything, a label or a machine";
                Err(Refusal::new(Code::Invalid, words))
            }
        }
    }
}

impl std::fmt::Display for Place {
    /// For people: "everything", "label KEY=VALUE", "gateway ID".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Label { key, value } => write!(f, "label {key}={value}"),
            Self::Gateway(id) => write!(f, "gateway {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text_and_its_message() {
        let label = Place::Label { key: "site".to_owned(), value: "attic, left".to_owned() };
        for place in [Place::Everything, label, Place::Gateway(GatewayId::from_random([7; 16]))] {
            assert_eq!(Place::of_text(&place.text()), Some(place.clone()));
            assert_eq!(Place::try_from(&place.message()), Ok(place));
        }
    }

    #[test]
    fn what_names_no_place_is_none() {
        for text in ["everything", "label:", "label:Site=a", "gateway:", "gateway:x", "site=attic"] {
            assert_eq!(Place::of_text(text), None, "{text:?}");
        }
        let gateway = Some(place::Place::Gateway("x".to_owned()));
        for place in [None, Some(place::Place::Everything(false)), gateway] {
            assert_eq!(Place::try_from(&pb::Place { place }).unwrap_err().code, Code::Invalid);
        }
    }
}
