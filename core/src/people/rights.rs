//! What somebody may do: the roles that they were given and where, within the
//! bounds of the token by which they call.

use chatcode_proto::pb::{Permission, PersonRole};

use super::{
    place::{Machine, Place},
    role::{is_for_machines, least},
};

/// A role somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    /// Which.
    pub role: PersonRole,
    /// Where.
    pub place: Place,
}

impl Given {
    /// Whether it gives a permission on a machine.
    fn gives(&self, permission: Permission, machine: &Machine<'_>) -> bool {
        self.reaches(permission) && self.place.has(machine)
    }

    /// Whether it gives a permission anywhere.
    fn reaches(&self, permission: Permission) -> bool {
        least(permission).is_some_and(|least| least <= self.role)
            && (is_for_machines(permission) || self.place == Place::Everything)
    }
}

/// What somebody may do. Nothing that was not given.
#[derive(Clone, Copy, Debug)]
pub struct Rights<'a> {
    /// What they were given, by themselves and through teams.
    pub given: &'a [Given],
    /// The bounds of the API token by which they call; `None`: they call by
    /// themselves.
    pub bounds: Option<&'a Given>,
}

impl Rights<'_> {
    /// Whether they have a permission: for the installation, or for machines
    /// somewhere. That there is such a machine is not said.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.given.iter().any(|given| given.reaches(permission))
            && self.bounds.is_none_or(|bounds| bounds.reaches(permission))
    }

    /// Whether they have a permission on this machine.
    #[must_use]
    pub fn may_on(&self, permission: Permission, machine: &Machine<'_>) -> bool {
        self.given.iter().any(|given| given.gives(permission, machine))
            && self.bounds.is_none_or(|bounds| bounds.gives(permission, machine))
    }

    /// Whether they have a permission for everything there is.
    #[must_use]
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        let gives = |given: &Given| given.place == Place::Everything && given.reaches(permission);
        self.given.iter().any(gives) && self.bounds.is_none_or(gives)
    }

    /// The highest role that they have anywhere; unspecified: none.
    #[must_use]
    pub fn highest(&self) -> PersonRole {
        let highest = self.given.iter().map(|given| given.role).max().unwrap_or(PersonRole::Unspecified);
        self.bounds.map_or(highest, |bounds| highest.min(bounds.role))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chatcode_proto::{id::GatewayId, label::Labels};

    use super::*;
    use crate::people::ROLES;

    /// Every permission of the schema with the least role that has it, as it was
    /// decided, and whether it is for machines.
    const DECIDED: &[(Permission, usize, bool)] = &[
        (Permission::FleetView, 0, true),
        (Permission::SessionView, 0, true),
        (Permission::SessionCreate, 1, true),
        (Permission::SessionWrite, 1, true),
        (Permission::SessionEnd, 1, true),
        (Permission::SessionShare, 1, true),
        (Permission::GatewayRevoke, 2, true),
        (Permission::GatewayUpdate, 2, true),
        (Permission::GatewayEnroll, 2, false),
        (Permission::AuditRead, 2, true),
        (Permission::Admin, 2, false),
        (Permission::PeopleManage, 2, false),
        (Permission::CaManage, 3, false),
        (Permission::OwnersManage, 3, false),
    ];

    /// Numbers by chance that are the same at every run (xorshift64).
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).expect("31 bits") % end
        }
    }

    fn id(number: usize) -> GatewayId {
        GatewayId::from_random([u8::try_from(number).expect("is small"); 16])
    }

    fn place(chance: &mut Chance) -> Place {
        let value = |number: usize| ["a", "b"][number].to_owned();
        match chance.below(4) {
            0 => Place::Everything,
            1 => Place::Gateway(id(chance.below(4))),
            2 => Place::Label { key: "x".to_owned(), value: value(chance.below(2)) },
            _ => Place::Label { key: "y".to_owned(), value: value(chance.below(2)) },
        }
    }

    fn given(chance: &mut Chance) -> Given {
        Given { role: ROLES[chance.below(4)], place: place(chance) }
    }

    /// The naive model: all pairs of a permission and a machine (`None`: the
    /// installation) that one role somewhere gives, written out.
    fn written_out(given: &Given, fleet: &[(GatewayId, Labels)]) -> BTreeSet<(usize, Option<usize>)> {
        let rank = ROLES.iter().position(|role| *role == given.role).expect("is a role");
        let mut all = BTreeSet::new();
        for (number, (_, least, of_machines)) in DECIDED.iter().enumerate() {
            if rank < *least {
                continue;
            }
            for (machine, (id, labels)) in fleet.iter().enumerate() {
                let is_there = match &given.place {
                    Place::Everything => true,
                    Place::Gateway(wanted) => wanted == id,
                    Place::Label { key, value } => labels.iter().any(|pair| pair == (key, value)),
                };
                if is_there && *of_machines {
                    all.insert((number, Some(machine)));
                }
            }
            if given.place == Place::Everything && !of_machines {
                all.insert((number, None));
            }
        }
        all
    }

    #[test]
    fn many_random_bindings_give_what_the_naive_model_gives() {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        for round in 0..20_000 {
            let fleet: Vec<(GatewayId, Labels)> = (0..4)
                .map(|number| {
                    let mut labels = Labels::new();
                    for key in ["x", "y"] {
                        if chance.below(3) > 0 {
                            labels.insert(key.to_owned(), ["a", "b"][chance.below(2)].to_owned());
                        }
                    }
                    (id(number), labels)
                })
                .collect();
            let all: Vec<Given> = (0..chance.below(4)).map(|_| given(&mut chance)).collect();
            let bounds = (chance.below(2) == 0).then(|| given(&mut chance));
            let rights = Rights { given: &all, bounds: bounds.as_ref() };
            let mut expected: BTreeSet<_> = all.iter().flat_map(|one| written_out(one, &fleet)).collect();
            if let Some(bounds) = &bounds {
                let within = written_out(bounds, &fleet);
                expected.retain(|pair| within.contains(pair));
            }
            for (number, (permission, _, of_machines)) in DECIDED.iter().enumerate() {
                for (machine, (id, labels)) in fleet.iter().enumerate().filter(|_| *of_machines) {
                    let machine_there = Machine { id: *id, labels };
                    let may = rights.may_on(*permission, &machine_there);
                    let wanted = expected.contains(&(number, Some(machine)));
                    assert_eq!(
                        may, wanted,
                        "round {round}: {permission:?} on {machine} of {fleet:?}: {rights:?}"
                    );
                    assert!(!may || rights.may(*permission), "round {round}: on one is somewhere");
                }
                if rights.may_everywhere(*permission) {
                    let all = fleet.iter().enumerate().filter(|_| *of_machines);
                    for (machine, _) in all {
                        assert!(expected.contains(&(number, Some(machine))), "round {round}: {rights:?}");
                    }
                }
                if !of_machines {
                    assert_eq!(rights.may(*permission), rights.may_everywhere(*permission), "round {round}");
                    let wanted = expected.contains(&(number, None));
                    assert_eq!(rights.may(*permission), wanted, "round {round}: {permission:?}: {rights:?}");
                }
            }
        }
    }

    #[test]
    fn who_was_given_nothing_may_nothing() {
        let rights = Rights { given: &[], bounds: None };
        let labels = Labels::new();
        for (permission, ..) in DECIDED {
            assert!(!rights.may(*permission));
            assert!(!rights.may_on(*permission, &Machine { id: id(1), labels: &labels }));
        }
        assert_eq!(rights.highest(), PersonRole::Unspecified);
    }

    #[test]
    fn no_role_makes_a_gateway_or_a_member() {
        let owner = [Given { role: PersonRole::Owner, place: Place::Everything }];
        let rights = Rights { given: &owner, bounds: None };
        for permission in [
            Permission::Unspecified,
            Permission::Link,
            Permission::Member,
            Permission::Authenticated,
            Permission::Present,
        ] {
            assert!(!rights.may(permission), "{permission:?}");
        }
    }
}
