// A real identity provider for lumen-oidc's tests, on a port of this machine that nobody else has.
//
//     node provider.mjs CALLBACK SECRET METHOD
//
// CALLBACK is the page's address that clients are sent back to. It prints its own address (the issuer) and
// serves until its standard input ends. People sign in with any password; who they are is in PEOPLE.
// Client `lumen` has the secret and sends it by METHOD (`client_secret_basic` or `client_secret_post`), the only one that
// the provider says it takes; `public` has none.

import { once } from 'node:events';
import { createServer } from 'node:http';
import process from 'node:process';

// Its notices are no addresses.
console.info = console.warn = console.error;
const { Provider } = await import('oidc-provider');

const [callback, secret, method] = process.argv.slice(2);
const PEOPLE = {
  alice: { preferred_username: 'alice', groups: ['staff', 'desktops'], email: 'alice@example.org', email_verified: true },
  bob: { preferred_username: 'bob', groups: ['staff'], email: 'bob@example.org', email_verified: false },
  nameless: { groups: ['desktops'] },
  climber: { preferred_username: '../root', groups: ['desktops'] },
};

const client = (more) => ({
  redirect_uris: [callback],
  response_types: ['code'],
  grant_types: ['authorization_code'],
  ...more,
});

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    client({ client_id: 'lumen', client_secret: secret, token_endpoint_auth_method: method }),
    client({ client_id: 'public', token_endpoint_auth_method: 'none' }),
  ],
  clientAuthMethods: [method, 'none'],
  claims: {
    openid: ['sub'],
    profile: ['preferred_username', 'groups'],
    email: ['email', 'email_verified'],
  },
  cookies: { keys: ['of a test'] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, ...PEOPLE[id] }),
  }),
});
const serve = provider.callback();
server.on('request', (request, response) => {
  // It would take both methods, whatever it says; others do not.
  const { authorization } = request.headers;
  if (method === 'client_secret_post' && authorization?.startsWith('Basic ')) {
    response.writeHead(401, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: 'invalid_client' }));
    return;
  }
  serve(request, response);
});
console.log(issuer);
process.stdin.resume();
await once(process.stdin, 'end');
process.exit();
