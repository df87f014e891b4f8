//! Names of entries, kept in parts. The parts are joined only when they are written or
//! compared, without a buffer.

/// The name of an entry, in parts: `optimizer.3.exp_avg`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'n> {
    prefix: Option<&'n str>,
    place: Option<u16>,
    name: &'n str,
}

impl<'n> Name<'n> {
    pub(crate) fn plain(name: &'n str) -> Self {
        Name {
            prefix: None,
            place: None,
            name,
        }
    }

    pub(crate) fn of(prefix: &'n str, name: &'n str) -> Self {
        Name {
            prefix: Some(prefix),
            place: None,
            name,
        }
    }

    pub(crate) fn at(prefix: &'n str, place: u16, name: &'n str) -> Self {
        Name {
            prefix: Some(prefix),
            place: Some(place),
            name,
        }
    }

    /// Calls `show` with each part in order.
    pub(crate) fn each(&self, show: &mut dyn FnMut(&str)) {
        if let Some(prefix) = self.prefix {
            show(prefix);
            show(".");
        }
        if let Some(place) = self.place {
            let mut started = false;
            for unit in [10_000, 1000, 100, 10, 1] {
                let digit = place / unit % 10;
                started |= digit > 0 || unit == 1;
                if started {
                    let digit = [b'0'.saturating_add(digit as u8)];
                    show(str::from_utf8(&digit).unwrap_or_default());
                }
            }
            show(".");
        }
        show(self.name);
    }

    /// Whether the parts joined together equal `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        let mut rest = Some(name);
        self.each(&mut |part| rest = rest.and_then(|rest| rest.strip_prefix(part)));
        rest == Some("")
    }
}
