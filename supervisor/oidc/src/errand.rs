//! The authorization code flow of OpenID Connect Core 1.0 (section 3.1), with PKCE (RFC 7636), over any HTTP client.
//!
//! INVARIANT: an account is named only by a statement (ID token) that came from the provider's own token endpoint for
//! this attempt's code and verifier, is signed with one of the provider's public keys, is meant for this client, has
//! this attempt's nonce and has not expired. What is missing in it is asked of the provider (UserInfo), which has to
//! speak of the same subject.

use lumen_ipc::message::{login::AccountName, oidc::OidcFailure};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode, Client,
    ClientId, ClientSecret, CsrfToken, DiscoveryError, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardErrorResponse, StandardTokenResponse, SyncHttpClient, TokenResponse, UserInfoClaims,
    UserInfoError,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
    url::Url,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    answer::NoAnswer,
    naming::{self, Claims},
    returned::{self, Code},
    settings::{Rules, Settings, is_safe},
};

/// Signatures that are believed: those by which a key that everybody knows proves who has the other. Neither `none` nor
/// those for which the client's own secret would be the key.
const BELIEVED: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
];

/// Claims beyond those that the standard names.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Further(Claims);

impl AdditionalClaims for Further {}

type Fields = IdTokenFields<
    Further,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type Party = Client<
    Further,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why nobody is signed in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// What the person is told.
    pub told: OidcFailure,
    /// What the log says.
    pub why: String,
}

impl Failure {
    pub(crate) fn new(told: OidcFailure, why: impl Into<String>) -> Self {
        Self { told, why: why.into() }
    }
}

/// An attempt whose browser is at the provider.
#[derive(Debug)]
pub struct Errand {
    party: Party,
    issuer: IssuerUrl,
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    rules: Rules,
}

/// An error with those that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl Errand {
    /// Asks the provider what it is like; returns where the browser has to go, too.
    ///
    /// # Errors
    /// [`Failure`] when the provider does not answer, or not as one does.
    pub fn begin<C: SyncHttpClient<Error = NoAnswer>>(
        settings: &Settings,
        secret: Option<&str>,
        callback: &str,
        http: &C,
    ) -> Result<(Self, Url), Failure> {
        let settings_are_wrong = |why: String| Failure::new(OidcFailure::Settings, why);
        let provider = CoreProviderMetadata::discover(&settings.issuer, http).map_err(|error| {
            let told = match &error {
                DiscoveryError::Request(error) => error.told(),
                _ => OidcFailure::Settings,
            };
            Failure::new(
                told,
                format!("discovery at {}: {}", settings.issuer.as_str(), chain(&error)),
            )
        })?;
        if !is_safe(provider.authorization_endpoint().as_str()) {
            let why = "the provider's authorization endpoint is not https://".to_owned();
            return Err(settings_are_wrong(why));
        }
        let callback = RedirectUrl::new(callback.to_owned())
            .map_err(|error| settings_are_wrong(format!("the page's own address: {error}")))?;
        let by_body = prefers_body(&provider);
        let secret = secret.map(|secret| ClientSecret::new(secret.to_owned()));
        let id = ClientId::new(settings.client_id.clone());
        let mut party =
            Party::from_provider_metadata(provider, id, secret).set_redirect_uri(callback);
        if by_body {
            party = party.set_auth_type(AuthType::RequestBody);
        }
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let asked = party.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let scopes = settings.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = asked.add_scopes(scopes).set_pkce_challenge(challenge).url();
        let (issuer, rules) = (settings.issuer.clone(), settings.rules.clone());
        Ok((Self { party, issuer, state, nonce, verifier, rules }, url))
    }

    /// Finds out what the query means with which the browser is back.
    ///
    /// # Errors
    /// [`Failure`] when it names no account that may be believed.
    pub fn finish<C: SyncHttpClient<Error = NoAnswer>>(
        self,
        query: &str,
        http: &C,
    ) -> Result<AccountName, Failure> {
        let Code(code) = returned::parse(query, self.state.secret(), self.issuer.as_str())
            .map_err(|told| {
                Failure::new(told, "what the browser brought back is no code for this attempt")
            })?;
        let invalid = |why: String| Failure::new(OidcFailure::Invalid, why);
        let exchange = self.party.exchange_code(AuthorizationCode::new(code));
        let exchange =
            exchange.map_err(|error| Failure::new(OidcFailure::Settings, chain(&error)))?;
        let tokens: Tokens = exchange.set_pkce_verifier(self.verifier).request(http).map_err(
            |error| match &error {
                RequestTokenError::ServerResponse(said) => Failure::new(
                    refusal(said.error()),
                    format!("the provider gives nothing for the code: {said}"),
                ),
                RequestTokenError::Request(cause) => Failure::new(cause.told(), chain(&error)),
                _ => invalid(chain(&error)),
            },
        )?;
        let token = tokens
            .id_token()
            .ok_or_else(|| invalid("the provider sends no ID token".to_owned()))?;
        let verifier = self.party.id_token_verifier().set_allowed_algs(BELIEVED);
        let stated =
            token.claims(&verifier, &self.nonce).map_err(|error| invalid(chain(&error)))?;
        if let Some(expected) = stated.access_token_hash() {
            let key = token.signing_key(&verifier).map_err(|error| invalid(chain(&error)))?;
            let alg = token.signing_alg().map_err(|error| invalid(chain(&error)))?;
            let found = AccessTokenHash::from_token(tokens.access_token(), alg, key);
            if found.map_err(|error| invalid(chain(&error)))? != *expected {
                return Err(invalid("the access token is not the one of the ID token".to_owned()));
            }
        }
        let mut claims = claims_of(stated).map_err(invalid)?;
        if !naming::is_complete(&claims, &self.rules) && self.party.user_info_url().is_some() {
            let subject = Some(stated.subject().clone());
            let asked = self.party.user_info(tokens.access_token().clone(), subject);
            let asked = asked.map_err(|error| invalid(chain(&error)))?;
            let more: UserInfoClaims<Further, CoreGenderClaim> =
                asked.request(http).map_err(|error| {
                    let told = match &error {
                        UserInfoError::Request(cause) => cause.told(),
                        _ => OidcFailure::Invalid,
                    };
                    Failure::new(told, format!("UserInfo: {}", chain(&error)))
                })?;
            for (name, value) in claims_of(&more).map_err(invalid)? {
                claims.entry(name).or_insert(value);
            }
        }
        naming::account(&claims, &self.rules)
            .map_err(|error| Failure::new(OidcFailure::NoAccount, error.to_string()))
    }
}

/// What the person is told when the provider gives nothing for a code (RFC 6749, section 5.2): a code may have been used
/// before, but what the client is, and how it proves that, is for an administrator to mend.
fn refusal(error: &CoreErrorResponseType) -> OidcFailure {
    match error {
        CoreErrorResponseType::InvalidGrant => OidcFailure::Refused,
        _ => OidcFailure::Settings,
    }
}

/// Whether the provider takes the client's secret in a request's body only.
fn prefers_body(provider: &CoreProviderMetadata) -> bool {
    provider.token_endpoint_auth_methods_supported().is_some_and(|methods| {
        !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
            && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
    })
}

fn claims_of(stated: &impl Serialize) -> Result<Claims, String> {
    match serde_json::to_value(stated) {
        Ok(Value::Object(mut claims)) => {
            claims.retain(|_, value| !value.is_null());
            Ok(claims)
        }
        _ => Err("the claims are no object".to_owned()),
    }
}
