//! Levels of a memory's pins in a read and in a write, by the usual names of such pins. Conditions are evaluated with
//! them elsewhere.

/// What a memory does in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
}

/// What a pin is for.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// Selects the memory.
    Enable,
    /// Selects a write.
    Write,
    /// Selects a read; a memory without such a pin reads when it does not write.
    Read,
    /// Selects bits of a write; of no meaning in a read.
    Mask,
}

/// Pins without port, and the level at which they act. `WEN` and `REN` are another affair beside `MEN`.
const PINS: &[(&str, Role, bool)] = &[
    ("MEN", Role::Enable, true),
    ("ME", Role::Enable, true),
    ("CE", Role::Enable, true),
    ("CS", Role::Enable, true),
    ("CE_IN", Role::Enable, true),
    ("CEN", Role::Enable, false),
    ("CEB", Role::Enable, false),
    ("CSB", Role::Enable, false),
    ("CSN", Role::Enable, false),
    ("CE_N", Role::Enable, false),
    ("CS_N", Role::Enable, false),
    ("WE", Role::Write, true),
    ("WE_IN", Role::Write, true),
    ("GWEN", Role::Write, false),
    ("WEN", Role::Write, false),
    ("WEB", Role::Write, false),
    ("WE_N", Role::Write, false),
    ("RE", Role::Read, true),
    ("RD_IN", Role::Read, true),
    ("REN", Role::Read, false),
    ("REB", Role::Read, false),
    ("BM", Role::Mask, true),
    ("WMASK", Role::Mask, true),
    ("W_MASK_IN", Role::Mask, true),
    ("BWEN", Role::Mask, false),
    ("BWEB", Role::Mask, false),
];

/// Words in the names of pins that test a memory; they rest while it is used.
const TEST: [&str; 3] = ["BIST", "TEST", "SCAN"];

/// True for pins that rest while the memory is used.
pub(super) fn is_test(pin: &str) -> bool {
    let pin = pin.to_ascii_uppercase();
    TEST.iter().any(|word| pin.contains(word))
}

/// A port, by the clock that drives it: `A_CLK` has `A_MEN`, `CLKB` has `CENB`, `clk0` has `csb0`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port<'a> {
    pub(super) clock: &'a str,
    before: &'a str,
    behind: &'a str,
}

impl<'a> Port<'a> {
    pub(super) fn new(clock: &'a str) -> Self {
        let upper = clock.to_ascii_uppercase();
        let words = ["CLOCK", "CLK", "CK"];
        let found = words
            .iter()
            .find_map(|word| Some((upper.find(word)?, word.len())));
        let (at, length) = found.unwrap_or((0, clock.len()));
        Self {
            clock,
            before: &clock[..at],
            behind: &clock[at + length..],
        }
    }

    /// Role and level of a pin of this port.
    fn role(&self, pin: &str, beside_men: bool) -> Option<(Role, bool)> {
        let pin = pin.split('[').next().unwrap_or_default();
        let base = pin
            .strip_prefix(self.before)?
            .strip_suffix(self.behind)?
            .to_ascii_uppercase();
        let &(name, role, level) = PINS.iter().find(|(name, ..)| *name == base)?;
        Some((role, level || beside_men && matches!(name, "WEN" | "REN")))
    }
}

/// Ports of a memory.
#[derive(Debug)]
pub(super) struct Ports<'a> {
    pub(super) all: Vec<Port<'a>>,
    /// True where a memory enable `MEN` tells that `WEN` and `REN` act at 1.
    beside_men: bool,
}

impl<'a> Ports<'a> {
    /// `pins` are all that the memory has.
    pub(super) fn new(clocks: impl Iterator<Item = &'a str>, pins: &[&str]) -> Self {
        let all: Vec<Port<'_>> = clocks
            .filter(|clock| !is_test(clock))
            .map(Port::new)
            .collect();
        let is_men = |pin: &&str| {
            all.iter()
                .any(|port| *pin == format!("{}MEN{}", port.before, port.behind))
        };
        let beside_men = pins.iter().any(is_men);
        Self { all, beside_men }
    }

    /// Level of a pin where a port does something and the others rest; `None` where that is not known.
    pub(super) fn level(&self, port: Port<'_>, operation: Operation, pin: &str) -> Option<bool> {
        if is_test(pin) {
            return Some(false);
        }
        if let Some((role, level)) = port.role(pin, self.beside_men) {
            let acts = match role {
                Role::Enable => true,
                Role::Write => operation == Operation::Write,
                Role::Read => operation == Operation::Read,
                Role::Mask if operation == Operation::Write => true,
                Role::Mask => return None,
            };
            return Some(acts == level);
        }
        let of_other = self
            .all
            .iter()
            .find_map(|other| other.role(pin, self.beside_men));
        of_other.map(|(_, level)| !level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(clocks: &[&str], pins: &[&str], asked: &[(&str, Option<bool>, Option<bool>)]) {
        let ports = Ports::new(clocks.iter().copied(), pins);
        for (pin, read, write) in asked {
            let of = |operation| ports.level(ports.all[0], operation, pin);
            assert_eq!(
                (of(Operation::Read), of(Operation::Write)),
                (*read, *write),
                "{pin}"
            );
        }
    }

    #[test]
    fn pins_of_gf180_act_at_0() {
        let pins = ["CLK", "CEN", "GWEN", "WEN"];
        levels(
            &["CLK"],
            &pins,
            &[
                ("CEN", Some(false), Some(false)),
                ("GWEN", Some(true), Some(false)),
                ("WEN[3]", Some(true), Some(false)),
                ("A[0]", None, None),
            ],
        );
    }

    #[test]
    fn pins_of_ihp_act_at_1_and_its_other_port_rests() {
        let pins = [
            "A_CLK", "A_MEN", "A_WEN", "A_REN", "B_CLK", "B_MEN", "B_WEN", "B_REN",
        ];
        levels(
            &["A_BIST_CLK", "A_CLK", "B_CLK"],
            &pins,
            &[
                ("A_MEN", Some(true), Some(true)),
                ("A_WEN", Some(false), Some(true)),
                ("A_REN", Some(true), Some(false)),
                ("B_MEN", Some(false), Some(false)),
                ("A_BIST_MEN", Some(false), Some(false)),
                ("A_DLY", None, None),
            ],
        );
    }

    #[test]
    fn ports_may_be_told_by_what_stands_behind() {
        levels(
            &["clk0"],
            &["clk0", "csb0", "web0"],
            &[
                ("csb0", Some(false), Some(false)),
                ("web0", Some(true), Some(false)),
            ],
        );
        levels(
            &["CLKA", "CLKB"],
            &["CENA", "CENB"],
            &[
                ("CENA", Some(false), Some(false)),
                ("CENB", Some(true), Some(true)),
            ],
        );
    }
}
