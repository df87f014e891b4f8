//! The checksum of records.

/// Computes the CRC-32 of zip and Ethernet (ISO-HDLC), half a byte at a time: four times as
/// fast as bit by bit, with a table of 64 bytes.
///
/// ```
/// assert_eq!(baregrad::record::crc32(b"123456789"), 0xcbf4_3926);
/// ```
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    // Evaluated by the compiler: an index out of bounds would not compile.
    #[allow(clippy::indexing_slicing)]
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut half = 0;
        while half < 16 {
            let mut crc = half as u32;
            let mut bit = 0;
            while bit < 4 {
                crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
                bit += 1;
            }
            table[half] = crc;
            half += 1;
        }
        table
    };
    let mut crc = u32::MAX;
    for byte in bytes {
        for half in [*byte, *byte >> 4] {
            let at = (crc as u8 ^ half) & 0xf;
            crc = (crc >> 4) ^ TABLE.get(usize::from(at)).unwrap_or(&0);
        }
    }
    !crc
}
