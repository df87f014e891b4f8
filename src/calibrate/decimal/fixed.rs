//! Binary fractions that are wide enough for every `f32`, in limbs of 16 bits, with exact
//! conversions from and to decimal digits.

/// The limbs after the point, lowest first.
const FRACTION: usize = 12;
/// The limbs before the point, which follow those after it.
const WHOLE: usize = 8;
/// The index of the lowest bit of a subnormal `f32`, counted from the lowest bit of all.
const LEAST: usize = 16 * FRACTION - 149;
/// The most decimal digits before the point of an `f32`.
const MOST_WHOLE: i32 = 39;
/// A number with more zeros after the point rounds to 0.
const MOST_ZEROS: i32 = 46;
/// The number of digits that identifies a pair whose parts do not overlap in any bit.
pub(super) const DIGITS: usize = 17;

/// A nonnegative number.
#[derive(Clone)]
pub(super) struct Fixed([u16; FRACTION + WHOLE]);

/// The low 16 bits.
fn low(x: u32) -> u16 {
    (x & 0xffff) as u16
}

/// Multiplies a number by ten and adds `carry`; returns the carry out.
fn times_ten(limbs: &mut [u16], mut carry: u32) -> u32 {
    for limb in limbs {
        carry += 10 * u32::from(*limb);
        *limb = low(carry);
        carry >>= 16;
    }
    carry
}

/// Divides a number by ten, with `rest` as the limb above its highest; returns the remainder.
fn tenth(limbs: &mut [u16], mut rest: u32) -> u32 {
    for limb in limbs.iter_mut().rev() {
        let tens = (rest << 16) | u32::from(*limb);
        *limb = low(tens / 10);
        rest = tens % 10;
    }
    rest
}

impl Fixed {
    pub(super) const ZERO: Self = Fixed([0; FRACTION + WHOLE]);

    /// The limbs after the point, and those before it.
    fn parts(&mut self) -> (&mut [u16], &mut [u16]) {
        self.0.split_at_mut_checked(FRACTION).unwrap_or_default()
    }

    /// The number `0.d₁d₂… × 10^point`; `None` if 128 bits before the point do not hold it.
    pub(super) fn read(
        digits: impl DoubleEndedIterator<Item = u8> + Clone,
        point: i32,
    ) -> Option<Self> {
        let mut fixed = Fixed::ZERO;
        let zeros = digits.clone().take_while(|digit| *digit == 0).count();
        let count = digits.clone().count();
        let first = point.saturating_sub(i32::try_from(zeros).unwrap_or(i32::MAX));
        if zeros == count || first < -MOST_ZEROS {
            return Some(fixed);
        }
        if first > MOST_WHOLE {
            return None;
        }
        let (fraction, whole) = fixed.parts();
        let before = usize::try_from(point).unwrap_or(0);
        let padded = digits.clone().chain(core::iter::repeat(0));
        for digit in padded.take(before) {
            if times_ten(whole, digit.into()) > 0 {
                return None;
            }
        }
        let behind = digits.rev().take(count.saturating_sub(before));
        let zeros = usize::try_from(point.saturating_neg()).unwrap_or(0);
        for digit in behind.chain(core::iter::repeat_n(0, zeros)) {
            tenth(fraction, digit.into());
        }
        Some(fixed)
    }

    fn bit(&self, place: usize) -> u32 {
        let limb = self.0.get(place / 16).copied().unwrap_or(0);
        u32::from(limb >> (place % 16)) & 1
    }

    /// Returns the `f32` nearest to the number, ties to even, and whether it is larger
    /// than the number. The number becomes the absolute difference from this `f32`.
    pub(super) fn take(&mut self) -> (f32, bool) {
        let Some(limb) = self.0.iter().rposition(|limb| *limb > 0) else {
            return (0.0, false);
        };
        let highest = self.0.get(limb).map_or(0, |limb| limb.leading_zeros());
        let top = 16 * limb + 15 - highest as usize;
        let end = top.saturating_sub(23).max(LEAST);
        let bits = (end..=top).rev();
        let mantissa = bits.fold(0, |bits, place| (bits << 1) | self.bit(place));
        // A mask of the bits of a limb that are below `end`.
        let below = |i: usize| match end.saturating_sub(16 * i) {
            bits @ 0..16 => (1 << bits) - 1,
            _ => 0xffff,
        };
        let half = self.bit(end - 1) == 1;
        let ones: u32 = (self.0.iter().enumerate())
            .map(|(i, limb)| (limb & below(i)).count_ones())
            .sum();
        let up = half && (ones > 1 || mantissa & 1 == 1);

        // The difference is the part below `end`, or its complement to the next `f32`.
        let mut carry = u32::from(up);
        for (i, limb) in self.0.iter_mut().enumerate() {
            if up {
                carry += u32::from(!*limb);
                *limb = low(carry);
                carry >>= 16;
            }
            *limb &= below(i);
        }
        let mantissa = mantissa + u32::from(up);
        (mantissa as f32 * power_of_two(end), up)
    }

    /// Adds a number of at least 0, or subtracts it from a larger one.
    pub(super) fn add(&mut self, x: f32, negative: bool) {
        let bits = x.to_bits();
        let exponent = (bits >> 23) & 0xff;
        let (mantissa, end) = match exponent {
            0 => (bits & 0x7f_ffff, LEAST),
            _ => (
                (bits & 0x7f_ffff) | 0x80_0000,
                LEAST + exponent as usize - 1,
            ),
        };
        // Shifted by less than a limb, the mantissa has at most 40 bits, in three limbs.
        let mut shifted = u64::from(mantissa) << (end % 16);
        let mut carry = u32::from(negative);
        for limb in self.0.iter_mut().skip(end / 16) {
            let own = low((shifted & 0xffff) as u32);
            shifted >>= 16;
            // Subtracts by adding the complement.
            let own = if negative { !own } else { own };
            carry += u32::from(*limb) + u32::from(own);
            *limb = low(carry);
            carry >>= 16;
        }
    }

    /// The first decimal digits, one more than are printed, and the position of the
    /// point: `0.d₁d₂… × 10^point`.
    pub(super) fn digits(mut self) -> ([u8; DIGITS + 1], i32) {
        let (fraction, whole) = self.parts();
        let mut before = [0; MOST_WHOLE as usize];
        for to in before.iter_mut().rev() {
            *to = tenth(whole, 0) as u8;
        }
        let zeros = before.iter().take_while(|digit| **digit == 0).count();
        let mut point = MOST_WHOLE - zeros as i32;
        let mut digits = [0; DIGITS + 1];
        let mut count = 0;
        for digit in before.into_iter().skip(zeros) {
            if let Some(to) = digits.get_mut(count) {
                *to = digit;
            }
            count += 1;
        }
        while count <= DIGITS && fraction.iter().any(|limb| *limb > 0) {
            let digit = times_ten(fraction, 0) as u8;
            if count == 0 && digit == 0 {
                point -= 1;
                continue;
            }
            if let Some(to) = digits.get_mut(count) {
                *to = digit;
            }
            count += 1;
        }
        (digits, point)
    }
}

/// `2^(place - 192)`, for the index of a bit of an `f32`.
fn power_of_two(place: usize) -> f32 {
    let above = place.saturating_sub(LEAST) as u32;
    // 2^-149 times 2^above; the first 23 of these powers are subnormal.
    f32::from_bits(match above {
        0..23 => 1 << above,
        _ => (above - 22) << 23,
    })
}
