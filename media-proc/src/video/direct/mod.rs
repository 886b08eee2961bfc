//! A coder of our own for pictures that are mostly known already.
//!
//! x264 walks over every macroblock of every picture, which at 1920×1080 takes several milliseconds
//! even when one letter was typed. A desktop's picture is mostly the one before, unchanged or moved
//! up or down by whole rows, with a few new macroblocks. Such a picture is coded here in a fraction
//! of the time, as one slice of Constrained Baseline: skipped and moved macroblocks are only named,
//! and only new ones are transformed. A picture of a few plain colours, such as a new window, is
//! coded with intra macroblocks. [`Direct::suits`] and [`Direct::encode`] leave all other pictures
//! to x264.
//!
//! Both coders write into one stream, so both must refer to the same decoded picture. After
//! pictures coded here, x264's reference is overwritten with ours (by [`super::Encoder`]), and its
//! slices are renumbered.
//!
//! INVARIANT: [`Direct::decoded`] is, bit for bit, what every decoder of the stream shows after the
//! last picture coded here. The tests compare it with another codec.
//!
//! Modules: `bits` and `headers` write and read slices, `samples` holds pictures, `survey` compares
//! a row of macroblocks with the picture before, `neighbours` predicts from coded macroblocks,
//! `macroblock` codes one of them, and `transform`, `residual` and `tables` code its levels.

pub(super) mod bits;
pub(super) mod headers;
pub(super) mod macroblock;
pub(super) mod neighbours;
pub(super) mod residual;
mod samples;
mod survey;
pub(super) mod tables;
mod transform;

use lumen_ipc::units::FrameSize;

use self::{
    bits::BitWriter,
    headers::{Parameters, SliceType, Unsupported},
    macroblock::{Inter, Intra, Scales, write_as_around, write_copy, write_intra},
    neighbours::{Coded, Neighbours},
    samples::{Colour, Samples, source},
    survey::Survey,
    transform::Scale,
};
use super::{Picture, PictureKind, Quantizer};
use crate::{
    convert::{MACROBLOCK, RowChanges},
    rate,
};

pub(super) use samples::Decoded;

/// At most one macroblock in this many may be new. With more, x264's vector instructions are
/// faster.
const NEW: usize = 8;

/// The finest quantizer used here. With a finer one, a difference of 255 in a whole macroblock has no
/// code in Constrained Baseline, whose levels end at 2063 (H.264, section 9.2.2.1).
const FINEST: Quantizer = rate::REFINED;

/// How one macroblock is coded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Choice {
    /// The same samples as in the picture before, this many rows further down.
    Copy(i32),
    /// A residual to the samples this many rows further down, or, in a fresh picture, to its edges.
    New(i32),
    /// One colour.
    Plain(Colour),
}

/// What is common to all macroblocks of a picture.
#[derive(Clone, Copy, Debug)]
struct Task {
    /// Visible columns and rows.
    size: (usize, usize),
    slice: SliceType,
    /// Whether the picture is built in other memory than the one before.
    moves: bool,
    scales: Scales,
}

/// The coder of a stream's simple pictures.
#[derive(Debug)]
pub(super) struct Direct {
    parameters: Parameters,
    /// Number of the next picture: how many pictures followed the IDR.
    frame_num: u32,
    decoded: Decoded,
    /// The picture before, while the next one is made from it.
    previous: Decoded,
    choices: Vec<Choice>,
    survey: Survey,
    neighbours: Neighbours,
    writer: BitWriter,
    /// Colours of decoded macroblocks that were meant to have only one, and do. Those to the left
    /// are of this row, the others of the row above.
    plains: Vec<Option<Colour>>,
    /// Macroblocks skipped since the last written one.
    skipped: u32,
}

impl Direct {
    /// Continues after `idr`, which x264 encoded from a picture of `size`.
    ///
    /// # Errors
    /// [`Unsupported`] when its headers are not of the expected kind.
    pub(super) fn behind(idr: &[u8], size: FrameSize) -> Result<Self, Unsupported> {
        Ok(Self {
            parameters: Parameters::of(idr, size)?,
            frame_num: 1,
            decoded: Decoded::new(size),
            previous: Decoded::new(size),
            choices: Vec::new(),
            survey: Survey::default(),
            neighbours: Neighbours::default(),
            writer: BitWriter::default(),
            plains: Vec::new(),
            skipped: 0,
        })
    }

    /// Continues after another IDR.
    pub(super) fn restart(&mut self, idr: &[u8], size: FrameSize) -> Result<(), Unsupported> {
        self.parameters = Parameters::of(idr, size)?;
        self.frame_num = 1;
        Ok(())
    }

    /// Whether slices of the encoder that made `idr` may follow in the same stream.
    pub(super) fn agrees_with(&self, idr: &[u8], size: FrameSize) -> bool {
        Parameters::of(idr, size) == Ok(self.parameters)
    }

    /// The parameter sets of a stream of Main profile; see [`Parameters::sets_of_main`].
    pub(super) fn sets_of_main(&self, idr: &[u8]) -> Result<Vec<u8>, Unsupported> {
        self.parameters.sets_of_main(idr)
    }

    /// Appends `idr` to `stream`, with `sets` instead of its own.
    pub(super) fn put_behind(sets: &[u8], idr: &[u8], stream: &mut Vec<u8>) {
        Parameters::put_behind(sets, idr, stream);
    }

    /// The picture that decoders show.
    pub(super) const fn decoded(&self) -> &Decoded {
        &self.decoded
    }

    /// The memory to fill with the picture that decoders show after x264 encoded one.
    pub(super) const fn decoded_mut(&mut self) -> &mut Decoded {
        &mut self.decoded
    }

    /// Appends a picture of x264's to `stream`, with its number in the common stream.
    pub(super) fn renumber(
        &mut self,
        picture: &[u8],
        stream: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        self.parameters.renumber(picture, self.frame_num, stream)?;
        self.frame_num += 1;
        Ok(())
    }

    /// Counts a picture of x264's that keeps its number.
    pub(super) const fn count(&mut self) {
        self.frame_num += 1;
    }

    /// Whether [`Self::encode`] may encode `picture`, as far as it can be told without the picture
    /// before.
    pub(super) fn suits(picture: &Picture<'_>) -> bool {
        let (changed, total) = (picture.changed.changed(), picture.changed.total());
        if picture.quantizer < FINEST {
            return false;
        }
        match picture.kind {
            PictureKind::Key => false,
            // Without changes, the whole picture is to become finer. With a coarse quantizer bits
            // are scarce, and x264 needs fewer.
            PictureKind::Predicted => {
                (1..=total / NEW).contains(&changed) && picture.quantizer <= rate::MOTION
            }
            PictureKind::Moved(_) | PictureKind::Fresh => true,
        }
    }

    /// Appends `picture` to `stream`; `false` if too much of it is new.
    ///
    /// [`Self::decoded`] is the picture before on entry, and this one on return.
    pub(super) fn encode(&mut self, picture: &Picture<'_>, stream: &mut Vec<u8>) -> bool {
        let moves = matches!(picture.kind, PictureKind::Moved(_));
        if moves {
            std::mem::swap(&mut self.decoded, &mut self.previous);
        }
        if !self.choose(picture) {
            if moves {
                std::mem::swap(&mut self.decoded, &mut self.previous);
            }
            return false;
        }
        // A picture that shares nothing with the one before does not need it.
        let fresh = picture.kind == PictureKind::Fresh;
        let whole = picture.changed.changed() == picture.changed.total();
        let slice = if fresh && whole { SliceType::I } else { SliceType::P };
        let scales = Scales {
            luma: Scale::luma(picture.quantizer),
            chroma: Scale::chroma(picture.quantizer, self.parameters.chroma_offset()),
        };
        self.writer.clear();
        let (parameters, frame_num) = (self.parameters, self.frame_num);
        parameters.write_slice_header(&mut self.writer, slice, frame_num, picture.quantizer);
        let size = picture.planes.size();
        let size = (usize::from(size.width()), usize::from(size.height()));
        self.write(picture, Task { size, slice, moves, scales });
        Parameters::finish_slice(&mut self.writer, stream);
        self.frame_num += 1;
        true
    }

    /// Chooses a coding for every macroblock; `false` if too many are new. Moved content is copied
    /// at once.
    fn choose(&mut self, picture: &Picture<'_>) -> bool {
        let (columns, rows) = self.decoded.macroblocks();
        let limit = columns * rows / NEW;
        let mut new = 0;
        self.choices.clear();
        for (row, changed) in picture.changed.rows().enumerate() {
            new += match picture.kind {
                PictureKind::Moved(down) => {
                    self.choose_moved(picture, row, changed, -i32::from(down))
                }
                _ => self.choose_unmoved(picture, row, changed),
            };
            if new > limit {
                return false;
            }
        }
        true
    }

    /// Chooses for a row of a picture that did not move. Returns how many macroblocks are new.
    fn choose_unmoved(
        &mut self,
        picture: &Picture<'_>,
        row: usize,
        changed: RowChanges<'_>,
    ) -> usize {
        let choices = begin_row(&mut self.choices, changed);
        // A macroblock of one colour is coded as quickly as a copied one.
        if picture.kind == PictureKind::Fresh {
            self.survey.plain(picture.planes, row);
            for (choice, colour) in choices.iter_mut().zip(&self.survey.colours) {
                if let (Choice::New(_), Some(colour)) = (&choice, colour) {
                    *choice = Choice::Plain(*colour);
                }
            }
        }
        choices.iter().filter(|choice| matches!(choice, Choice::New(_))).count()
    }

    /// Chooses for a row of a picture whose content was `motion` rows further down.
    fn choose_moved(
        &mut self,
        picture: &Picture<'_>,
        row: usize,
        changed: RowChanges<'_>,
        motion: i32,
    ) -> usize {
        let bearable = bearable(picture.quantizer);
        let choices = begin_row(&mut self.choices, changed);
        let mut best = vec![u32::MAX; choices.len()];
        for motion in [motion, 0] {
            let undecided = choices.iter().any(|choice| matches!(choice, Choice::New(_)));
            let reached = motion.unsigned_abs() <= self.parameters.reach();
            if !undecided || !reached {
                continue;
            }
            self.survey.compare(picture.planes, &self.previous, row, motion);
            let measured = best.iter_mut().zip(&self.survey.distances);
            for (choice, (best, distance)) in choices.iter_mut().zip(measured) {
                match choice {
                    Choice::New(_) if *distance <= bearable => *choice = Choice::Copy(motion),
                    Choice::New(base) if distance < best => (*base, *best) = (motion, *distance),
                    _ => {}
                }
            }
        }
        let mut column = 0;
        for run in choices.chunk_by(|one, other| one == other) {
            if let [Choice::Copy(motion), ..] = run {
                self.decoded.copy_from(&self.previous, row, column..column + run.len(), *motion);
            }
            column += run.len();
        }
        choices.iter().filter(|choice| matches!(choice, Choice::New(_))).count()
    }

    /// Writes all macroblocks as chosen.
    fn write(&mut self, picture: &Picture<'_>, task: Task) {
        let (columns, _) = self.decoded.macroblocks();
        let choices = std::mem::take(&mut self.choices);
        self.neighbours.begin(columns);
        self.plains.clear();
        self.plains.resize(columns, None);
        self.skipped = 0;
        for (at, choice) in choices.iter().enumerate() {
            let place = (at % columns, at / columns);
            let coded = match *choice {
                Choice::Copy(motion) => self.copy(motion, task.slice),
                Choice::New(motion) => {
                    let wanted = source(picture.planes, place.0, place.1);
                    self.write_new(&wanted, place, motion, task)
                }
                Choice::Plain(colour) => self.write_plain(colour, place, task),
            };
            if !matches!(choice, Choice::Plain(_)) {
                self.plains[place.0] = None;
            }
            self.neighbours.push(coded);
        }
        if self.skipped > 0 {
            self.writer.unsigned(self.skipped);
        }
        self.choices = choices;
    }

    fn copy(&mut self, motion: i32, slice: SliceType) -> Coded {
        if motion == self.neighbours.skipped_motion() {
            self.skipped += 1;
            return Coded::copied(motion);
        }
        self.end_skips(slice);
        write_copy(&mut self.writer, &self.neighbours, motion)
    }

    /// Writes a macroblock of one colour: nothing but its type if its surroundings have the same
    /// colour.
    fn write_plain(&mut self, colour: Colour, place: (usize, usize), task: Task) -> Coded {
        let (column, row) = place;
        let left = column.checked_sub(1).map(|left| self.plains[left]);
        let above = (row > 0).then(|| self.plains[column]);
        let around = [left, above];
        let wanted = Samples::flat(colour[0], [colour[1], colour[2]]);
        let mut same = around.iter().flatten().peekable();
        if same.peek().is_some() && same.all(|around| *around == Some(colour)) {
            self.decoded.put(column, row, &wanted);
            self.plains[column] = Some(colour);
            self.end_skips(task.slice);
            return write_as_around(&mut self.writer, task.slice, &self.neighbours, row > 0);
        }
        let coded = self.write_new(&wanted, place, 0, task);
        self.plains[column] = self.decoded.samples(column, row, 0).colour();
        coded
    }

    fn write_new(
        &mut self,
        wanted: &Samples,
        (column, row): (usize, usize),
        motion: i32,
        task: Task,
    ) -> Coded {
        let edges = self.decoded.chroma_edges(column, row);
        let intra = Intra::of(wanted, &self.decoded.luma_edges(column, row), &edges);
        let before = if task.moves { &self.previous } else { &self.decoded };
        let before = before.samples(column, row, motion);
        let (width, height) = task.size;
        let seen = (width - column * MACROBLOCK, height - row * MACROBLOCK);
        let visible = task.moves.then(|| wanted.with_hidden(&before, seen));
        let visible = visible.as_ref().unwrap_or(wanted);
        if task.slice == SliceType::I || intra.distance(wanted) < visible.distance(&before) {
            self.end_skips(task.slice);
            let (writer, neighbours) = (&mut self.writer, &self.neighbours);
            let (samples, coded) =
                write_intra(writer, task.slice, neighbours, wanted, &intra, task.scales);
            self.decoded.put(column, row, &samples);
            return coded;
        }
        let inter = Inter::of(visible, &before, task.scales);
        self.decoded.put(column, row, inter.decoded());
        if !inter.has_residual() && motion == self.neighbours.skipped_motion() {
            self.skipped += 1;
            return Coded::copied(motion);
        }
        self.end_skips(task.slice);
        inter.write(&mut self.writer, &self.neighbours, motion)
    }

    /// Writes how many macroblocks are skipped before the next one (`mb_skip_run`).
    fn end_skips(&mut self, slice: SliceType) {
        let skipped = std::mem::take(&mut self.skipped);
        if slice == SliceType::P {
            self.writer.unsigned(skipped);
        }
    }
}

/// Begins a row of choices: changed macroblocks are new until a better choice is found.
fn begin_row<'choices>(
    choices: &'choices mut Vec<Choice>,
    changed: RowChanges<'_>,
) -> &'choices mut [Choice] {
    let from = choices.len();
    choices.extend(changed.map(|changed| match changed {
        true => Choice::New(0),
        false => Choice::Copy(0),
    }));
    &mut choices[from..]
}

/// The squared error of a macroblock that coding it again with `quantizer` would not reduce: that
/// of samples spread evenly within a quantizer step.
fn bearable(quantizer: Quantizer) -> u32 {
    /// Luma and chroma.
    const SAMPLES: f64 = 384.0;
    let step = 0.625 * (f64::from(quantizer.value()) / 6.0).exp2();
    (SAMPLES * step * step / 12.0) as u32
}
