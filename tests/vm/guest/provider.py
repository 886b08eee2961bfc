"""An identity provider (OpenID Connect Core 1.0, section 3.1) at which everybody is the one person of its argument.

usage: provider.py ISSUER PORT CERTIFICATE KEY CLIENT SECRET PERSON

Gives a code to whoever comes, and for the code, the client's secret and the verifier of PKCE an ID token that `openssl`
signs with KEY. The tests' real provider needs Node, which is slow in an emulated machine; here it is the units' turn.
"""

import base64
import hashlib
import json
import ssl
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

issuer, port, certificate, key, client, secret, person = sys.argv[1:]
asked = {}


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, given=b""):
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def public_key():
    modulus = openssl("rsa", "-in", key, "-noout", "-modulus").decode().strip().removeprefix("Modulus=")
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "e": "AQAB", "n": encoded(bytes.fromhex(modulus))}


def id_token(nonce):
    now = int(time.time())
    claims = {"iss": issuer, "aud": client, "sub": person, "preferred_username": person}
    claims |= {"iat": now, "exp": now + 600, "nonce": nonce}
    parts = [{"alg": "RS256", "kid": "1"}, claims]
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    return signed + "." + encoded(openssl("dgst", "-sha256", "-sign", key, given=signed.encode()))


METADATA = {
    "issuer": issuer,
    "authorization_endpoint": issuer + "/authorize",
    "token_endpoint": issuer + "/token",
    "jwks_uri": issuer + "/keys",
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
}
DOCUMENTS = {"/.well-known/openid-configuration": METADATA, "/keys": {"keys": [public_key()]}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def client(self):
        """Name and secret of who asks; each is encoded like a form's value (RFC 6749, section 2.3.1)."""
        scheme, _, told = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        return [unquote_plus(part) for part in base64.b64decode(told).decode().split(":", 1)]

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path != "/authorize":
            document = DOCUMENTS.get(url.path)
            return self.answer(200 if document else 404, document)
        query = dict(parse_qsl(url.query))
        code = f"code-{len(asked)}"
        asked[code] = query
        self.send_response(302)
        self.send_header("Location", query["redirect_uri"] + "?" + urlencode({"code": code, "state": query["state"]}))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if self.client() != [client, secret]:
            return self.answer(401, {"error": "invalid_client"})
        query = asked.pop(form.get("code"), None)
        challenge = encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if query is None or query["code_challenge"] != challenge:
            return self.answer(400, {"error": "invalid_grant"})
        tokens = {"access_token": "none", "token_type": "Bearer", "id_token": id_token(query["nonce"])}
        self.answer(200, tokens)


server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
server.socket = tls.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
