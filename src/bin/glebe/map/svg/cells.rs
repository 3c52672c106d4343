//! Cells for the pages of a line, and what is cut out where there is no memory.

use super::super::picture::{Line, most};
use super::super::words::Shade;
use super::ROW_CELLS;

/// Rows without memory that follow each other are cut out from this many on.
const EMPTY_ROWS: usize = 4;

fn is_empty(shade: Shade) -> bool {
    matches!(shade, Shade::Guard | Shade::Absent)
}

/// What a cell shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    /// What most of its bytes are.
    pub(super) shade: Shade,
    /// Where that is no memory, what most of the others are.
    pub(super) speck: Option<Shade>,
}

impl Cell {
    fn of(bytes: &[usize; Shade::ALL.len()]) -> Cell {
        let shade = most(bytes);
        let mut others = *bytes;
        for empty in [Shade::Guard, Shade::Absent] {
            others[empty as usize] = 0;
        }
        let speck = Some(most(&others)).filter(|other| is_empty(shade) && !is_empty(*other));
        Cell { shade, speck }
    }
}

/// A part of a band, from its lowest addresses on.
pub(super) enum Piece {
    /// Rows of cells; the last may be short.
    Rows(Vec<Cell>),
    /// So many bytes without memory, cut out.
    Cut(usize),
}

impl Piece {
    pub(super) fn rows(&self) -> usize {
        match self {
            Piece::Rows(cells) => cells.len().div_ceil(ROW_CELLS),
            Piece::Cut(_) => 2,
        }
    }
}

/// The pieces of a line in cells of `cell` bytes; None if they have more than `limit` rows.
pub(super) fn pieces(line: &Line, cell: usize, limit: usize) -> Option<Vec<Piece>> {
    let row = cell * ROW_CELLS;
    let mut pieces = Vec::new();
    let mut rows = 0;
    let mut put = |pieces: &mut Vec<Piece>, piece: Piece| {
        rows += piece.rows();
        pieces.push(piece);
        rows <= limit
    };
    let runs: Vec<_> = line
        .regions
        .iter()
        .flat_map(|region| &region.runs)
        .collect();
    let mut cells = Cells::new(cell);
    for run in runs.chunk_by(|one, next| Shade::of(one) == Shade::of(next)) {
        let shade = Shade::of(run[0]);
        let mut size: usize = run.iter().map(|run| run.end - run.start).sum();
        if is_empty(shade) && size >= EMPTY_ROWS * row {
            // The rows that have begun end as they are; whole rows are cut out.
            let open = (row - cells.bytes % row) % row;
            cells.add(shade, open);
            size -= open;
            let cut = size / row * row;
            if cells.bytes > 0 && !put(&mut pieces, Piece::Rows(cells.take())) {
                return None;
            }
            if !put(&mut pieces, Piece::Cut(cut)) {
                return None;
            }
            size -= cut;
        }
        if size.div_ceil(row) > limit {
            return None;
        }
        cells.add(shade, size);
    }
    let rest = cells.take();
    let fits = rest.is_empty() || put(&mut pieces, Piece::Rows(rest));
    fits.then_some(pieces)
}

/// Cells that are filled with bytes one after the other.
struct Cells {
    cell: usize,
    bytes: usize,
    open: [usize; Shade::ALL.len()],
    done: Vec<Cell>,
}

impl Cells {
    fn new(cell: usize) -> Cells {
        Cells {
            cell,
            bytes: 0,
            open: Default::default(),
            done: Vec::new(),
        }
    }

    fn add(&mut self, shade: Shade, mut size: usize) {
        while size > 0 {
            let room = self.cell - self.bytes % self.cell;
            let part = size.min(room);
            self.open[shade as usize] += part;
            self.bytes += part;
            size -= part;
            if part == room {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.done.push(Cell::of(&self.open));
        self.open = Default::default();
    }

    fn take(&mut self) -> Vec<Cell> {
        if !self.bytes.is_multiple_of(self.cell) {
            self.close();
        }
        self.bytes = 0;
        std::mem::take(&mut self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map_command::fixture;

    #[test]
    fn a_cell_has_a_speck_of_what_little_there_is_where_most_is_nothing() {
        let mut bytes = [0; Shade::ALL.len()];
        bytes[Shade::Absent as usize] = 60;
        let cell = |bytes: &_| {
            let cell = Cell::of(bytes);
            (cell.shade, cell.speck)
        };
        assert_eq!(cell(&bytes), (Shade::Absent, None));
        bytes[Shade::Clean as usize] = 4;
        bytes[Shade::Dirty as usize] = 8;
        assert_eq!(cell(&bytes), (Shade::Absent, Some(Shade::Dirty)));
        bytes[Shade::Compressed as usize] = 61;
        assert_eq!(cell(&bytes), (Shade::Compressed, None));
    }

    #[test]
    fn pieces_show_or_cut_out_every_byte() {
        let picture = fixture::picture();
        for line in picture.folded() {
            for cell in [4096, 65536, 2 << 20] {
                let pieces = pieces(&line, cell, usize::MAX).unwrap();
                let bytes: usize = pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Rows(cells) => cells.len() * cell,
                        Piece::Cut(bytes) => *bytes,
                    })
                    .sum();
                let size = line.sum().size;
                assert!((size..size + cell).contains(&bytes), "{size} {bytes}");
            }
        }
    }
}
