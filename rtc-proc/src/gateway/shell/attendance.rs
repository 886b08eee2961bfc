//! Which pages are connected, for the supervisor, which shows and records who watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lumen_ipc::login::Visitor;
use tokio::{sync::Notify, time::sleep};

use super::broker::Broker;

/// The pause between two reports: a page that reconnects is mostly one change, not two.
const PAUSE: Duration = Duration::from_millis(500);

/// All pages that are connected. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Attendance(Arc<Book>);

#[derive(Debug, Default)]
struct Book {
    pages: Mutex<Pages>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pages {
    last: u64,
    present: BTreeMap<u64, Visitor>,
}

/// A page, until this is dropped.
#[derive(Debug)]
pub(super) struct Present {
    book: Arc<Book>,
    number: u64,
}

impl Book {
    fn change(&self, act: impl FnOnce(&mut Pages)) {
        act(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }
}

impl Attendance {
    /// A page is connected.
    pub(super) fn enter(&self, visitor: Visitor) -> Present {
        let mut number = 0;
        self.0.change(|pages| {
            pages.last += 1;
            number = pages.last;
            pages.present.insert(number, visitor);
        });
        Present { book: Arc::clone(&self.0), number }
    }

    /// Reports who is there and then all changes, for ever: pages of an earlier gateway that do not come
    /// back are not reported otherwise. A report that fails is repeated.
    pub(super) async fn report(self, broker: Broker) {
        self.0.changed.notify_one();
        loop {
            self.0.changed.notified().await;
            let present = {
                let pages = self.0.pages.lock().unwrap_or_else(PoisonError::into_inner);
                pages.present.values().copied().collect()
            };
            if broker.visited(present).await.is_err() {
                self.0.changed.notify_one();
            }
            sleep(PAUSE).await;
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.book.change(|pages| {
            pages.present.remove(&self.number);
        });
    }
}
