//! The parameters of a sequence: at most 32, and at most 32 sub-parameters.

/// What may be collected of each kind; more is ignored.
const MOST: usize = 32;
/// The largest value; larger ones are cut to it.
const LARGEST: i32 = i32::MAX;

/// Parameters, each with the sub-parameters behind it. There is always at
/// least one parameter; one that was left out is 0, a sub-parameter that was
/// left out is -1.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    values: [i32; MOST],
    count: usize,
    subs: [i32; MOST],
    sub_count: usize,
    /// Where the sub-parameters of each parameter begin and end.
    ranges: [(u8, u8); MOST],
    rejects: bool,
    rejects_subs: bool,
    is_sub: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            values: [0; MOST],
            count: 1,
            subs: [0; MOST],
            sub_count: 0,
            ranges: [(0, 0); MOST],
            rejects: false,
            rejects_subs: false,
            is_sub: false,
        }
    }
}

impl Params {
    /// As at the beginning: one parameter, left out.
    pub(crate) fn clear(&mut self) {
        (self.values[0], self.count, self.sub_count) = (0, 1, 0);
        self.ranges[0] = (0, 0);
        (self.rejects, self.rejects_subs, self.is_sub) = (false, false, false);
    }

    /// Begins the next parameter.
    pub(crate) fn next(&mut self) {
        self.is_sub = false;
        if self.count >= MOST {
            self.rejects = true;
            return;
        }
        let at = self.sub_count as u8;
        self.ranges[self.count] = (at, at);
        self.values[self.count] = 0;
        self.count += 1;
    }

    /// Begins the next sub-parameter.
    pub(crate) fn next_sub(&mut self) {
        self.is_sub = true;
        if self.rejects || self.sub_count >= MOST {
            self.rejects_subs = true;
            return;
        }
        self.subs[self.sub_count] = -1;
        self.sub_count += 1;
        self.ranges[self.count - 1].1 += 1;
    }

    /// One more digit.
    pub(crate) fn digit(&mut self, digit: u8) {
        if self.rejects || (self.is_sub && self.rejects_subs) {
            return;
        }
        let value =
            if self.is_sub { &mut self.subs[self.sub_count - 1] } else { &mut self.values[self.count - 1] };
        let digit = i64::from(digit);
        let grown = if *value == -1 { digit } else { i64::from(*value) * 10 + digit };
        *value = i32::try_from(grown).unwrap_or(LARGEST);
    }

    /// All parameters.
    pub(crate) fn values(&self) -> &[i32] {
        &self.values[..self.count]
    }

    /// The first parameter.
    pub(crate) fn first(&self) -> i32 {
        self.values[0]
    }

    /// A parameter as a count or place: 1 where it is 0 or missing.
    pub(crate) fn at_least_one(&self, index: usize) -> usize {
        let value = self.values().get(index).copied().unwrap_or(0);
        usize::try_from(value).unwrap_or(1).max(1)
    }

    /// The sub-parameters of a parameter.
    pub(crate) fn subs(&self, index: usize) -> &[i32] {
        let (from, to) = self.ranges[index];
        &self.subs[usize::from(from)..usize::from(to)]
    }
}
