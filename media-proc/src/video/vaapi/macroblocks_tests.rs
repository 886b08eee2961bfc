//! Words, blocks and slices that are written here, and any bytes.

use proptest::prelude::*;

use super::*;
use crate::video::direct::{
    bits::BitWriter,
    residual::{write_block, write_chroma_dc},
};

/// Everything that these words say is read as it was written.
#[test]
fn words_are_read_as_they_were_written() {
    let check = |words: &Words, (length, value): Code, meaning: usize, behind: u32| {
        if length > 0 {
            let mut writer = BitWriter::default();
            writer.bits(length.into(), value.into());
            writer.bits(16, behind);
            let payload = writer.finish().to_vec();
            let mut reader = BitReader::new(&payload);
            assert_eq!(words.read(&mut reader).map(usize::from), Some(meaning), "{length} {value}");
            assert_eq!(reader.position(), usize::from(length));
        }
    };
    for behind in [0, 0xFFFF, 0x5A5A] {
        for (words, codes) in TOKEN_WORDS.iter().zip(&TOKENS) {
            for (at, code) in codes.as_flattened().iter().enumerate() {
                check(words, *code, at, behind);
            }
        }
        for (at, code) in CHROMA_TOKENS.as_flattened().iter().enumerate() {
            check(&CHROMA_TOKEN_WORDS, *code, at, behind);
        }
        let lists = (ZERO_WORDS.iter().zip(ZEROS))
            .chain(CHROMA_ZERO_WORDS.iter().zip(CHROMA_ZEROS))
            .chain(RUN_WORDS.iter().zip(RUNS));
        for (words, codes) in lists {
            for (at, code) in codes.iter().enumerate() {
                check(words, *code, at, behind);
            }
        }
    }
}

fn slice(payload: &[u8]) -> Slice<'_> {
    let mut neighbours = Neighbours::default();
    neighbours.begin(4);
    Slice { bits: BitReader::new(payload), neighbours }
}

fn is_whole(payload: &[u8], is_predicted: bool) -> bool {
    are_whole(BitReader::new(payload), is_predicted, (4, 12))
}

proptest! {
    #[test]
    fn blocks_are_read_as_they_were_written(
        mut levels in prop::collection::vec(prop_oneof![3 => Just(0), 3 => -1..2, 2 => -9..9, 1 => -2063..2063], 16),
        short in any::<bool>(),
        expected in 0_u8..17,
    ) {
        levels.truncate(if short { 15 } else { 16 });
        let mut writer = BitWriter::default();
        let count = write_block(&mut writer, &levels, expected);
        let dc: [i32; 4] = [levels[0], levels[1], levels[2], levels[3]];
        write_chroma_dc(&mut writer, &dc);
        let length = writer.length();
        let payload = writer.finish().to_vec();
        let mut slice = slice(&payload);
        prop_assert_eq!(slice.block(expected, levels.len()), Some(count));
        let token = CHROMA_TOKEN_WORDS.read(&mut slice.bits).expect("a token");
        let found = slice.levels(token, 4, &CHROMA_ZERO_WORDS).expect("levels");
        prop_assert_eq!(usize::from(found), dc.iter().filter(|level| **level != 0).count());
        prop_assert_eq!(slice.bits.position(), length);
    }

    #[test]
    fn any_bytes_are_judged(
        payload in prop::collection::vec(any::<u8>(), 0..3000),
        is_predicted in any::<bool>(),
    ) {
        is_whole(&payload, is_predicted); // any answer, but an answer
    }
}

#[test]
fn slice_is_whole_with_all_macroblocks_and_nothing_behind_them() {
    let written = |write: fn(&mut BitWriter)| {
        let mut writer = BitWriter::default();
        write(&mut writer);
        writer.finish().to_vec()
    };
    assert!(is_whole(&written(|writer| writer.unsigned(12)), true), "all are skipped");
    assert!(!is_whole(&written(|writer| writer.unsigned(11)), true), "one is missing");
    assert!(!is_whole(&written(|writer| writer.unsigned(13)), true), "one too many");
    assert!(!is_whole(&[], true) && !is_whole(&[], false));
    let more = |writer: &mut BitWriter| {
        writer.unsigned(12);
        writer.unsigned(1);
    };
    assert!(!is_whole(&written(more), true), "there is more");
    // Samples as they are, a kind of sixteen predictions without levels, and one of 16×16 without.
    let mixed = |writer: &mut BitWriter| {
        writer.unsigned(9);
        writer.unsigned(INTRA_IN_P + SAMPLES);
        let _ = writer.align();
        (0..SAMPLE_BYTES).for_each(|at| writer.bits(8, at as u32 % 256));
        writer.unsigned(0);
        writer.unsigned(INTRA_IN_P);
        writer.bits(16, 0xFFFF);
        writer.unsigned(3);
        writer.unsigned(3); // no pattern
        writer.unsigned(0);
        writer.unsigned(INTRA_IN_P + 1);
        writer.unsigned(0);
        writer.signed(-2);
        // Left of it is none, above it neither: both have none.
        write_block(writer, &[0; 16], 0);
    };
    let whole = written(mixed);
    assert!(is_whole(&whole, true));
    for length in 0..whole.len() {
        assert!(!is_whole(&whole[..length], true), "the first {length} bytes");
    }
}
