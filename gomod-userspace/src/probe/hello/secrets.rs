// SPDX-License-Identifier: MIT OR Apache-2.0
//! The random parts of a hello.

/// Bytes of an encapsulation key of ML-KEM-768 (FIPS 203, table 3).
pub(super) const ML_KEM_768_KEY: usize = 1184;
/// Coefficients that the key encodes, twelve bits each: 3 polynomials of 256.
const COEFFICIENTS: usize = 3 * 256;
/// The modulus q: a key with a larger coefficient is refused (FIPS 203, section 7.2).
const MODULUS: u16 = 3329;

/// Random values of one hello. Nobody could decrypt anything with them: private keys are never made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// `random`.
    pub random: [u8; 32],
    /// `legacy_session_id`.
    pub session_id: [u8; 32],
    /// A public key of X25519; every string of 32 bytes is one (RFC 7748 section 5).
    pub x25519: [u8; 32],
    /// An encapsulation key of ML-KEM-768.
    pub ml_kem: Vec<u8>,
}

impl Secrets {
    /// New ones from `random`. They need to be different, not unpredictable.
    pub fn generate(random: &mut fastrand::Rng) -> Self {
        let mut bytes = || {
            let mut bytes = [0; 32];
            random.fill(&mut bytes);
            bytes
        };
        let (first, session_id, x25519) = (bytes(), bytes(), bytes());
        Self {
            random: first,
            session_id,
            x25519,
            ml_kem: ml_kem_key(random),
        }
    }
}

/// Coefficients below the modulus in 12 bits each, little-endian (FIPS 203, algorithm 5), then 32 bytes of seed.
fn ml_kem_key(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut key = Vec::with_capacity(ML_KEM_768_KEY);
    for _ in 0..COEFFICIENTS / 2 {
        let (low, high) = (random.u16(..MODULUS), random.u16(..MODULUS));
        key.push(low as u8);
        key.push((low >> 8) as u8 | (high << 4) as u8);
        key.push((high >> 4) as u8);
    }
    key.extend(std::iter::repeat_with(|| random.u8(..)).take(32));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_right_size_and_no_coefficient_too_large() {
        let key = ml_kem_key(&mut fastrand::Rng::with_seed(1));
        assert_eq!(key.len(), ML_KEM_768_KEY);
        for group in key[..COEFFICIENTS / 2 * 3].chunks(3) {
            let low = u16::from(group[0]) | u16::from(group[1] & 0x0f) << 8;
            let high = u16::from(group[1] >> 4) | u16::from(group[2]) << 4;
            assert!(low < MODULUS && high < MODULUS);
        }
    }
}
