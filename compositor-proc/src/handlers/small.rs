//! Protocols that need no more than a few lines each.

use std::time::Duration;

use smithay::{
    input::Seat,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    wayland::{
        compositor::with_states,
        fractional_scale::FractionalScaleHandler,
        output::OutputHandler,
        xdg_activation::{
            XdgActivationHandler, XdgActivationState, XdgActivationToken, XdgActivationTokenData,
        },
    },
};

use crate::state::State;

/// How long an activation token is valid.
const TOKEN_LIFE: Duration = Duration::from_secs(10);

/// Most activation tokens valid at once. Smithay keeps each until it is used, and most never are.
pub const MAX_TOKENS: usize = 64;

impl FractionalScaleHandler for State {
    fn new_fractional_scale(&mut self, surface: WlSurface) {
        with_states(&surface, |states| self.output.advise(&surface, states));
    }
}

impl OutputHandler for State {}

impl XdgActivationHandler for State {
    fn activation_state(&mut self) -> &mut XdgActivationState {
        &mut self.protocols.activation
    }

    /// Only an app that just received input may pass the focus on; others would steal it.
    fn token_created(&mut self, _token: XdgActivationToken, data: XdgActivationTokenData) -> bool {
        let Some((serial, seat)) = data.serial else { return false };
        let (now, activation) = (self.now(), &mut self.protocols.activation);
        activation
            .retain_tokens(|_, token| now.saturating_duration_since(token.timestamp) < TOKEN_LIFE);
        if activation.tokens().count() >= MAX_TOKENS {
            return false;
        }
        let ours = Seat::<Self>::from_resource(&seat).is_some_and(|seat| seat == self.seat.wayland);
        let app = data.client_id;
        ours && app.is_some_and(|app| self.seat.given.is_proof(now, serial, &app))
    }

    fn request_activation(
        &mut self,
        token: XdgActivationToken,
        data: XdgActivationTokenData,
        surface: WlSurface,
    ) {
        self.protocols.activation.remove_token(&token);
        if self.now().saturating_duration_since(data.timestamp) < TOKEN_LIFE
            && let Some(id) = self.tree.windows.of_surface(&surface)
        {
            self.tree.windows.stack.focus(id);
            self.refresh_focus();
            self.rearranged();
        }
    }
}
