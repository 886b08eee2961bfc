// A hostile identity provider for lumen-oidc's tests. It tells one lie and is right in all else.
//
//     node liar.mjs LIE SECRET
//
// It prints its address (the issuer) and serves until its standard input ends. Whoever asks to sign in is `alice` and
// sent back at once. Its client is `lumen` with the secret. A lie that it does not know ends it.

import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import process from 'node:process';

const [lie, clientSecret] = process.argv.slice(2);
// What each lie changes of the ID token's claims; those without a change are told elsewhere.
const LIES = {
  none: {},
  // The token's own.
  nonce: { nonce: 'another' },
  'nonce-missing': { nonce: undefined },
  audience: { aud: 'another' },
  'audience-beside': { aud: ['lumen', 'another'] },
  issuer: { iss: 'https://other.example.org' },
  expired: { exp: Math.floor(Date.now() / 1000) - 61 },
  'expiry-missing': { exp: undefined },
  'other-access-token': { at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' },
  // Its signature's.
  'key-unpublished': {},
  'signature-broken': {},
  'signature-none': {},
  'signature-secret': {},
  'signature-public-key': {},
  // Who it is about.
  'claim-missing': { preferred_username: undefined },
  'claim-number': { preferred_username: 7 },
  'claim-path': { preferred_username: '../root' },
  'userinfo-other-subject': { preferred_username: undefined },
  // The other answers.
  'discovery-issuer': {},
  'endpoint-in-clear': {},
  'token-missing': {},
  'answer-malformed': {},
  'answer-endless': {},
  'answer-redirected': {},
};
if (!(lie in LIES)) throw new Error(`no such lie: ${lie}`);

const published = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const unpublished = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const PUBLISHED = { ...published.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'ES256' };

const base64url = (data) => Buffer.from(data).toString('base64url');
const part = (value) => base64url(JSON.stringify(value));

// A JSON Web Signature (RFC 7515) of the claims.
function signed(claims) {
  const seal = (alg, make) => {
    const text = `${part({ alg, kid: 'one', typ: 'JWT' })}.${part(claims)}`;
    return `${text}.${base64url(make(text))}`;
  };
  const by = ({ privateKey }) => (text) => sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const keyed = (secret) => (text) => createHmac('sha256', secret).update(text).digest();
  switch (lie) {
    case 'key-unpublished': return seal('ES256', by(unpublished));
    case 'signature-broken': return seal('ES256', (text) => by(published)(`${text} `));
    case 'signature-none': return seal('none', () => '');
    case 'signature-secret': return seal('HS256', keyed(clientSecret));
    case 'signature-public-key':
      return seal('HS256', keyed(published.publicKey.export({ format: 'pem', type: 'spki' })));
    default: return seal('ES256', by(published));
  }
}

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const at = (path) => `${issuer}${path}`;

// Codes that were not used: the request for each.
const codes = new Map();

const DISCOVERY = {
  issuer: lie === 'discovery-issuer' ? 'https://other.example.org' : issuer,
  authorization_endpoint: at('/authorize'),
  token_endpoint: lie === 'endpoint-in-clear' ? 'http://192.0.2.1/token' : at('/token'),
  userinfo_endpoint: at('/userinfo'),
  jwks_uri: at('/keys'),
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['ES256', 'HS256', 'none'],
};

function json(response, value, status = 200) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(value));
}

function token(request, response, form) {
  const asked = codes.get(form.get('code'));
  codes.delete(form.get('code'));
  const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
  const basic = `Basic ${Buffer.from(`lumen:${clientSecret}`).toString('base64')}`;
  if (request.headers.authorization !== basic) return json(response, { error: 'invalid_client' }, 401);
  if (asked?.get('code_challenge') !== challenge) return json(response, { error: 'invalid_grant' }, 400);
  if (lie === 'answer-malformed') return response.end('<html>');
  if (lie === 'answer-redirected') return response.writeHead(307, { location: 'http://127.0.0.2:9/token' }).end();
  if (lie === 'answer-endless') {
    response.writeHead(200, { 'content-type': 'application/json' });
    const more = () => { while (!response.destroyed && response.write(' '.repeat(65536))); };
    response.on('drain', more);
    return more();
  }
  const now = Math.floor(Date.now() / 1000);
  const right = {
    iss: issuer,
    sub: 'alice',
    aud: 'lumen',
    iat: now,
    exp: now + 300,
    nonce: asked.get('nonce'),
    preferred_username: 'alice',
    groups: ['desktops'],
  };
  const id_token = lie === 'token-missing' ? undefined : signed({ ...right, ...LIES[lie] });
  return json(response, { access_token: 'access', token_type: 'Bearer', expires_in: 300, id_token });
}

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, issuer);
  switch (pathname) {
    case '/.well-known/openid-configuration': return json(response, DISCOVERY);
    case '/keys': return json(response, { keys: [PUBLISHED] });
    case '/authorize': {
      const code = `code-${codes.size}`;
      codes.set(code, searchParams);
      const back = new URL(searchParams.get('redirect_uri'));
      back.searchParams.set('code', code);
      back.searchParams.set('state', searchParams.get('state'));
      return response.writeHead(302, { location: back.href }).end();
    }
    case '/token': {
      let text = '';
      for await (const piece of request) text += piece;
      return token(request, response, new URLSearchParams(text));
    }
    case '/userinfo': {
      if (request.headers.authorization !== 'Bearer access') return json(response, {}, 401);
      const mallory = { sub: 'mallory', preferred_username: 'alice' };
      return json(response, lie === 'userinfo-other-subject' ? mallory : { sub: 'alice' });
    }
    default: return json(response, {}, 404);
  }
}
server.on('request', (request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
console.log(issuer);
process.stdin.resume();
await once(process.stdin, 'end');
process.exit();
