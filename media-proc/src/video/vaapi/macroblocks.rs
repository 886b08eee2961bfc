//! Whether a slice has all macroblocks of its picture.
//!
//! Drivers cut streams short, and decoders make up what is missing without a word: nobody else would find out.
//! Reads the syntax of macroblocks in Constrained Baseline (H.264, sections 7.3.4, 7.3.5 and 9.2) from the first to
//! the last, and decodes nothing of them. It stops at the first word that there is not, so whatever a driver has
//! written costs at most what a picture does.

use crate::video::direct::{
    bits::BitReader,
    macroblock::{INTRA_IN_P, PATTERNS, raster},
    neighbours::{Coded, Neighbours},
    residual::MAX_SUFFIX,
    tables::{CHROMA_TOKENS, CHROMA_ZEROS, Code, RUNS, TOKENS, ZEROS},
};

/// `coded_block_pattern` of macroblocks of kind `I_NxN` by its code number (H.264, table 9-4).
const INTRA_PATTERNS: [u8; 48] = [
    47, 31, 15, 0, 23, 27, 29, 30, 7, 11, 13, 14, 39, 43, 45, 46, 16, 3, 5, 10, 12, 19, 21, 26, 28,
    35, 37, 42, 44, 1, 2, 4, 8, 17, 18, 20, 24, 6, 9, 22, 25, 32, 33, 34, 36, 40, 38, 41,
];
/// `mb_type` of samples that are not coded, in I slices, and how many bytes they take.
const SAMPLES: u32 = 25;
const SAMPLE_BYTES: usize = 384;

/// Reads the macroblocks of a slice, `count` in rows of `columns`, that begin where `bits` is. Returns whether they
/// are all there, and nothing behind them.
pub(super) fn are_whole(
    bits: BitReader<'_>,
    is_predicted: bool,
    (columns, count): (u32, u32),
) -> bool {
    let mut neighbours = Neighbours::default();
    neighbours.begin(columns as usize);
    let mut slice = Slice { bits, neighbours };
    slice.read(is_predicted, count).is_some() && slice.bits.is_at_end()
}

/// A slice, as far as it has been read.
struct Slice<'payload> {
    bits: BitReader<'payload>,
    neighbours: Neighbours,
}

/// Which blocks of a macroblock have levels.
#[derive(Clone, Copy)]
struct Pattern {
    /// A bit for each 8×8 of luma.
    luma: u8,
    /// 0 for none, 1 for DC only, 2 for all.
    chroma: u8,
    /// Whether the DC levels of luma are coded separately.
    separate: bool,
}

impl Slice<'_> {
    /// `slice_data`.
    fn read(&mut self, is_predicted: bool, count: u32) -> Option<()> {
        let mut left = count;
        while left > 0 {
            if is_predicted {
                let run = self.bits.unsigned()?; // mb_skip_run
                left = left.checked_sub(run)?;
                (0..run).for_each(|_| self.neighbours.push(Coded::default()));
                if left == 0 {
                    break;
                }
            }
            let coded = self.macroblock(is_predicted)?;
            self.neighbours.push(coded);
            left -= 1;
        }
        Some(())
    }

    /// `macroblock_layer`.
    fn macroblock(&mut self, is_predicted: bool) -> Option<Coded> {
        let kind = self.bits.unsigned()?; // mb_type
        let before = if is_predicted { INTRA_IN_P } else { 0 };
        let pattern = match kind.checked_sub(before) {
            None => self.motion(kind)?,
            Some(SAMPLES) => {
                let beyond = self.bits.position() % 8;
                self.bits.skip((8 - beyond) % 8 + 8 * SAMPLE_BYTES)?;
                return Some(Coded::SAMPLES);
            }
            Some(kind) => self.intra(kind)?,
        };
        let mut coded = Coded::default();
        if pattern.luma > 0 || pattern.chroma > 0 || pattern.separate {
            let delta = self.bits.signed()?; // mb_qp_delta
            if !(-26..=25).contains(&delta) {
                return None;
            }
            self.luma(pattern, &mut coded.luma)?;
            self.chroma(pattern, &mut coded.chroma)?;
        }
        Some(coded)
    }

    /// What a macroblock that is predicted from another picture says before its levels: `mb_pred` or `sub_mb_pred`,
    /// and `coded_block_pattern`.
    fn motion(&mut self, kind: u32) -> Option<Pattern> {
        let vectors = match kind {
            0 => 1,
            1 | 2 => 2,
            _ => {
                let (mut vectors, parts) = (0, [1, 2, 2, 4]);
                for _ in 0..4 {
                    vectors += parts.get(self.bits.unsigned()? as usize)?; // sub_mb_type
                }
                vectors
            }
        };
        for _ in 0..2 * vectors {
            self.bits.signed()?; // mvd_l0
        }
        self.pattern(&PATTERNS)
    }

    /// The same for one that is predicted from its own picture.
    fn intra(&mut self, kind: u32) -> Option<Pattern> {
        if kind == 0 {
            for _ in 0..16 {
                if !self.bits.flag()? {
                    self.bits.bits(3)?; // rem_intra4x4_pred_mode
                }
            }
        }
        // intra_chroma_pred_mode
        if self.bits.unsigned()? > 3 {
            return None;
        }
        match kind {
            0 => self.pattern(&INTRA_PATTERNS),
            1..SAMPLES => Some(Pattern {
                luma: if kind > 12 { 15 } else { 0 },
                chroma: ((kind - 1) / 4 % 3) as u8,
                separate: true,
            }),
            _ => None,
        }
    }

    fn pattern(&mut self, patterns: &[u8; 48]) -> Option<Pattern> {
        let pattern = patterns.get(self.bits.unsigned()? as usize)?;
        Some(Pattern { luma: pattern & 15, chroma: pattern >> 4, separate: false })
    }

    /// `residual_luma`.
    fn luma(&mut self, pattern: Pattern, counts: &mut [u8; 16]) -> Option<()> {
        if pattern.separate {
            self.block(self.neighbours.luma_levels(counts, 0), 16)?;
        }
        let room = if pattern.separate { 15 } else { 16 };
        for index in 0..16 {
            if pattern.luma >> (index / 4) & 1 == 1 {
                let block = raster(index);
                counts[block] = self.block(self.neighbours.luma_levels(counts, block), room)?;
            }
        }
        Some(())
    }

    fn chroma(&mut self, pattern: Pattern, counts: &mut [[u8; 4]; 2]) -> Option<()> {
        if pattern.chroma > 0 {
            for _ in counts.iter() {
                let token = CHROMA_TOKEN_WORDS.read(&mut self.bits)?;
                self.levels(token, 4, &CHROMA_ZERO_WORDS)?;
            }
        }
        if pattern.chroma == 2 {
            for (plane, counts) in counts.iter_mut().enumerate() {
                for block in 0..4 {
                    let expected = self.neighbours.chroma_levels(counts, plane, block);
                    counts[block] = self.block(expected, 15)?;
                }
            }
        }
        Some(())
    }

    /// `residual_block_cavlc` of a block with room for so many levels. Returns how many it has.
    fn block(&mut self, expected: u8, room: usize) -> Option<u8> {
        let words = match expected {
            0 | 1 => &TOKEN_WORDS[0],
            2 | 3 => &TOKEN_WORDS[1],
            4..8 => &TOKEN_WORDS[2],
            _ => {
                let token = match self.bits.bits(6)? as u8 {
                    3 => 0,
                    token => token + 4,
                };
                return self.levels(token, room, &ZERO_WORDS);
            }
        };
        let token = words.read(&mut self.bits)?;
        self.levels(token, room, &ZERO_WORDS)
    }

    /// The rest of a block, of which `token` says how many levels it has, times four, and how many of them are
    /// trailing ones.
    fn levels(&mut self, token: u8, room: usize, zero_words: &[Words]) -> Option<u8> {
        let (total, ones) = (usize::from(token >> 2), usize::from(token & 3));
        if total == 0 {
            return Some(0);
        }
        if total > room || ones > total {
            return None;
        }
        self.bits.skip(ones)?; // trailing_ones_sign_flag
        let mut suffix = u32::from(total > 10 && ones < 3);
        for index in ones..total {
            let is_first = index == ones && ones < 3;
            let level = self.level(suffix)? + if is_first { 2 } else { 0 };
            suffix = suffix.max(1);
            if level / 2 + 1 > 3 << (suffix - 1) && suffix < MAX_SUFFIX {
                suffix += 1;
            }
        }
        let zeros = match zero_words.get(total - 1) {
            Some(words) if total < room => usize::from(words.read(&mut self.bits)?),
            _ => 0,
        };
        let mut left = zeros;
        for _ in 1..total {
            if left == 0 {
                break;
            }
            let run = RUN_WORDS[left.min(7) - 1].read(&mut self.bits)?; // run_before
            left = left.checked_sub(run.into())?;
        }
        (total + zeros <= room).then_some(total as u8)
    }

    /// `level_prefix` and `level_suffix`: twice the level's amount less two, plus one below zero.
    fn level(&mut self, suffix: u32) -> Option<u32> {
        let prefix = self.bits.peek().leading_zeros();
        // More there is only in higher profiles.
        if prefix > 15 {
            return None;
        }
        self.bits.skip(prefix as usize + 1)?;
        let length = match (prefix, suffix) {
            (14, 0) => 4,
            (15, _) => 12,
            _ => suffix,
        };
        let beyond = if prefix == 15 && suffix == 0 { 15 } else { 0 };
        Some((prefix << suffix) + self.bits.bits(length)? + beyond)
    }
}

/// Words by their leading zeros, at most 16, and the three bits behind the first one: no word has more. Each entry has
/// the word's length, 0 if there is no such word, and what it means.
struct Words([(u8, u8); 17 * 8]);

static TOKEN_WORDS: [Words; 3] =
    [Words::of_tokens(&TOKENS[0]), Words::of_tokens(&TOKENS[1]), Words::of_tokens(&TOKENS[2])];
static CHROMA_TOKEN_WORDS: Words = Words::of_tokens(&CHROMA_TOKENS);
static ZERO_WORDS: [Words; 15] = Words::of_each(&ZEROS);
static CHROMA_ZERO_WORDS: [Words; 3] = Words::of_each(&CHROMA_ZEROS);
static RUN_WORDS: [Words; 7] = Words::of_each(&RUNS);

impl Words {
    const NONE: Self = Self([(0, 0); 17 * 8]);

    fn read(&self, bits: &mut BitReader<'_>) -> Option<u8> {
        let next = bits.peek();
        let zeros = next.leading_zeros().min(16);
        let behind = (next << zeros << 1) >> 29;
        let (length, meaning) = self.0[(zeros * 8 + behind) as usize];
        bits.skip(length.into())?;
        (length > 0).then_some(meaning)
    }

    /// By number of levels and of trailing ones.
    const fn of_tokens<const TOTALS: usize>(codes: &[[Code; 4]; TOTALS]) -> Self {
        let (mut words, mut total) = (Self::NONE, 0);
        while total < TOTALS {
            let mut ones = 0;
            while ones < 4 {
                words = words.with(codes[total][ones], (total << 2 | ones) as u8);
                ones += 1;
            }
            total += 1;
        }
        words
    }

    const fn of_each<const LISTS: usize>(lists: &[&[Code]; LISTS]) -> [Self; LISTS] {
        let (mut all, mut list) = ([const { Self::NONE }; LISTS], 0);
        while list < LISTS {
            let mut meaning = 0;
            while meaning < lists[list].len() {
                all[list] = Self(all[list].0).with(lists[list][meaning], meaning as u8);
                meaning += 1;
            }
            list += 1;
        }
        all
    }

    const fn with(self, (length, value): Code, meaning: u8) -> Self {
        if length == 0 {
            return self;
        }
        let (first, end) = match value.checked_ilog2() {
            // Nothing but zeros, whatever is behind them.
            None => (length as usize * 8, 17 * 8),
            Some(behind) => {
                let zeros = length as usize - 1 - behind as usize;
                let count = 8 >> behind;
                let first = zeros * 8 + (value as usize - (1 << behind)) * count;
                (first, first + count)
            }
        };
        let (mut entries, mut at) = (self.0, first);
        while at < end {
            entries[at] = (length, meaning);
            at += 1;
        }
        Self(entries)
    }
}

#[cfg(test)]
#[path = "macroblocks_tests.rs"]
mod tests;
