//! What was coded around a macroblock: motion, and how many levels the blocks have.
//!
//! Motion is always vertical and by whole rows, so a vector is one number.

/// What later macroblocks need to know about a coded one.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::video) struct Coded {
    /// Luma rows down to the samples it was predicted from; `None` for intra.
    pub(super) motion: Option<i32>,
    /// Number of levels of the luma blocks, in raster order.
    pub(in crate::video) luma: [u8; 16],
    /// Number of AC levels of the blocks of Cb and Cr, in raster order.
    pub(in crate::video) chroma: [[u8; 4]; 2],
}

impl Coded {
    /// A macroblock whose samples are not coded (`I_PCM`).
    pub(in crate::video) const SAMPLES: Self =
        Self { motion: None, luma: [16; 16], chroma: [[16; 4]; 2] };

    /// A macroblock predicted from `motion` rows down, without residual.
    pub(super) const fn copied(motion: i32) -> Self {
        Self { motion: Some(motion), luma: [0; 16], chroma: [[0; 4]; 2] }
    }
}

/// The last coded macroblocks, while a picture of one slice is coded in raster order.
#[derive(Debug, Default)]
pub(in crate::video) struct Neighbours {
    /// Entries to the left are of this row, the others of the row above.
    above: Vec<Coded>,
    /// The macroblock above and to the left, which `above` has overwritten.
    corner: Coded,
    columns: usize,
    column: usize,
    row: usize,
}

impl Neighbours {
    /// Begins a new picture with rows of `columns` macroblocks.
    pub(in crate::video) fn begin(&mut self, columns: usize) {
        self.above.clear();
        self.above.resize(columns, Coded::default());
        (self.columns, self.column, self.row) = (columns, 0, 0);
    }

    /// Adds the next macroblock.
    pub(in crate::video) fn push(&mut self, coded: Coded) {
        self.corner = std::mem::replace(&mut self.above[self.column], coded);
        self.column += 1;
        if self.column == self.columns {
            (self.column, self.row) = (0, self.row + 1);
        }
    }

    fn left(&self) -> Option<&Coded> {
        self.above.get(self.column.checked_sub(1)?)
    }

    fn above(&self) -> Option<&Coded> {
        (self.row > 0).then(|| &self.above[self.column])
    }

    fn above_right(&self) -> Option<&Coded> {
        if self.row == 0 {
            return None;
        }
        match self.above.get(self.column + 1) {
            Some(coded) => Some(coded),
            None => (self.column > 0).then_some(&self.corner),
        }
    }

    /// The motion predicted for the next macroblock (H.264, section 8.4.1.3).
    pub(super) fn predicted_motion(&self) -> i32 {
        let (left, above, right) = (self.left(), self.above(), self.above_right());
        if let (Some(left), None, None) = (left, above, right) {
            return left.motion.unwrap_or(0);
        }
        let motions = [left, above, right].map(|coded| coded.and_then(|coded| coded.motion));
        let mut inter = motions.iter().flatten();
        match (inter.next(), inter.next()) {
            (Some(only), None) => *only,
            _ => {
                let mut values = motions.map(|motion| motion.unwrap_or(0));
                values.sort_unstable();
                values[1]
            }
        }
    }

    /// The motion of a skipped macroblock (H.264, section 8.4.1.1).
    pub(super) fn skipped_motion(&self) -> i32 {
        match (self.left(), self.above()) {
            (Some(left), Some(above)) if left.motion != Some(0) && above.motion != Some(0) => {
                self.predicted_motion()
            }
            _ => 0,
        }
    }

    /// nC of the luma block at raster index `block`; `luma` holds this macroblock's numbers so far
    /// (H.264, section 9.2.1).
    pub(in crate::video) fn luma_levels(&self, luma: &[u8; 16], block: usize) -> u8 {
        let left = if block.is_multiple_of(4) {
            self.left().map(|coded| coded.luma[block + 3])
        } else {
            Some(luma[block - 1])
        };
        let above = if block < 4 {
            self.above().map(|coded| coded.luma[block + 12])
        } else {
            Some(luma[block - 4])
        };
        mean(left, above)
    }

    /// nC of the chroma block at raster index `block` of plane `plane`.
    pub(in crate::video) fn chroma_levels(
        &self,
        chroma: &[u8; 4],
        plane: usize,
        block: usize,
    ) -> u8 {
        let left = if block.is_multiple_of(2) {
            self.left().map(|coded| coded.chroma[plane][block + 1])
        } else {
            Some(chroma[block - 1])
        };
        let above = if block < 2 {
            self.above().map(|coded| coded.chroma[plane][block + 2])
        } else {
            Some(chroma[block - 2])
        };
        mean(left, above)
    }
}

const fn mean(left: Option<u8>, above: Option<u8>) -> u8 {
    match (left, above) {
        (Some(left), Some(above)) => (left + above).div_ceil(2),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => 0,
    }
}
