//! Residual blocks in CAVLC (H.264, section 9.2).

use super::{
    bits::BitWriter,
    tables::{CHROMA_TOKENS, CHROMA_ZEROS, Code, RUNS, TOKENS, ZEROS},
};

/// Suffix length beyond which it does not grow (H.264, section 9.2.2.1).
pub(in crate::video) const MAX_SUFFIX: u32 = 6;

/// Writes `levels`, in scan order, of a luma block or of chroma AC. `neighbours` is nC. Returns how
/// many are not zero.
pub(in crate::video) fn write_block(writer: &mut BitWriter, levels: &[i32], neighbours: u8) -> u8 {
    let block = Runs::of(levels);
    let (total, ones) = (block.total(), block.ones());
    match neighbours {
        0..8 => {
            let table = [0, 0, 1, 1, 2, 2, 2, 2][usize::from(neighbours)];
            write(writer, TOKENS[table][total][ones]);
        }
        _ if total == 0 => writer.bits(6, 3),
        _ => writer.bits(6, ((total - 1) << 2 | ones) as u32),
    }
    if total > 0 {
        block.write_levels(writer);
        if total < levels.len() {
            write(writer, ZEROS[total - 1][block.zeros]);
        }
        block.write_runs(writer);
    }
    // At most 16.
    total as u8
}

/// Writes the four chroma DC levels.
pub(in crate::video) fn write_chroma_dc(writer: &mut BitWriter, levels: &[i32; 4]) {
    let block = Runs::of(levels);
    let (total, ones) = (block.total(), block.ones());
    write(writer, CHROMA_TOKENS[total][ones]);
    if total > 0 {
        block.write_levels(writer);
        if total < levels.len() {
            write(writer, CHROMA_ZEROS[total - 1][block.zeros]);
        }
        block.write_runs(writer);
    }
}

fn write(writer: &mut BitWriter, (length, value): Code) {
    debug_assert!(length > 0);
    writer.bits(length.into(), value.into());
}

/// A block as CAVLC codes it: levels from the highest frequency down, each with the zeros before
/// it.
struct Runs {
    levels: [(i32, u8); 16],
    total: usize,
    /// All zeros before the last level.
    zeros: usize,
}

impl Runs {
    fn of(scan: &[i32]) -> Self {
        let mut block = Self { levels: [(0, 0); 16], total: 0, zeros: 0 };
        let mut run = 0;
        let mut ascending = [(0, 0); 16];
        for level in scan {
            if *level == 0 {
                run += 1;
                continue;
            }
            ascending[block.total] = (*level, run);
            block.total += 1;
            block.zeros += usize::from(run);
            run = 0;
        }
        for (slot, level) in block.levels.iter_mut().zip(ascending[..block.total].iter().rev()) {
            *slot = *level;
        }
        block
    }

    const fn total(&self) -> usize {
        self.total
    }

    /// Number of trailing ones, at most three.
    fn ones(&self) -> usize {
        let levels = self.levels[..self.total].iter().take(3);
        levels.take_while(|(level, _)| level.abs() == 1).count()
    }

    fn write_levels(&self, writer: &mut BitWriter) {
        let ones = self.ones();
        for (level, _) in &self.levels[..ones] {
            writer.flag(*level < 0);
        }
        let mut suffix = u32::from(self.total > 10 && ones < 3);
        for (index, (level, _)) in self.levels[ones..self.total].iter().enumerate() {
            let mut code = level.unsigned_abs() * 2 - if *level > 0 { 2 } else { 1 };
            // It cannot be a one, which would be a trailing one, so its code is shifted.
            if index == 0 && ones < 3 {
                code -= 2;
            }
            write_level(writer, code, suffix);
            suffix = suffix.max(1);
            if level.unsigned_abs() > 3 << (suffix - 1) && suffix < MAX_SUFFIX {
                suffix += 1;
            }
        }
    }

    fn write_runs(&self, writer: &mut BitWriter) {
        let mut left = self.zeros;
        for (_, run) in &self.levels[..self.total - 1] {
            if left == 0 {
                return;
            }
            write(writer, RUNS[left.min(7) - 1][usize::from(*run)]);
            left -= usize::from(*run);
        }
    }
}

/// `level_prefix` and `level_suffix`. [`super::FINEST`] keeps every code within 12 bits.
fn write_level(writer: &mut BitWriter, code: u32, suffix: u32) {
    let prefix = |writer: &mut BitWriter, zeros: u32| writer.bits(zeros + 1, 1);
    match (suffix, code) {
        (0, 0..14) => prefix(writer, code),
        (0, 14..30) => {
            prefix(writer, 14);
            writer.bits(4, code - 14);
        }
        (0, _) => {
            prefix(writer, 15);
            writer.bits(12, code - 30);
        }
        _ if code < 15 << suffix => {
            prefix(writer, code >> suffix);
            writer.bits(suffix, code & ((1 << suffix) - 1));
        }
        _ => {
            prefix(writer, 15);
            writer.bits(12, code - (15 << suffix));
        }
    }
}
