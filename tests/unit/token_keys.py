#!/usr/bin/python3
# token_keys.py - makes token_keys.h: keys for tests, and tokens that other
# software signs with them.  Needs Debian's python3-jwt, python3-jwcrypto and
# python3-cryptography; only to be run when something is to be added.
import base64
import datetime
import json
import os

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as S
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, rsa
from cryptography.x509.oid import NameOID
from jwcrypto import jwk, jws

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "token_keys.h")
SECRET = b"0123456789abcdef" * 4
CLAIMS = {
    "sub": "ada", "name": "Ada L", "role": "agent",
    "workspaces": ["w1", {"id": "w2", "sessions": ["s1"]}],
    "iat": 1699999999, "nbf": 1699999999, "exp": 1700003600, "jti": "t-1",
    "iss": "https://issuer.example", "aud": ["x", "chat"],
}
ALGORITHMS = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256",
              "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
KEY_OF = {"ES256": "P256", "ES384": "P384", "ES512": "P521", "EdDSA": "ED"}


def private_pem(key):
    return key.private_bytes(S.Encoding.PEM, S.PrivateFormat.PKCS8,
                             S.NoEncryption()).decode()


def public_pem(key, form=S.PublicFormat.SubjectPublicKeyInfo):
    return key.public_key().public_bytes(S.Encoding.PEM, form).decode()


def compact(members):
    return json.dumps(members, separators=(",", ":"))


def public_jwk(key):
    members = json.loads(jwk.JWK.from_pem(public_pem(key).encode()).export_public())
    members.pop("kid", None)
    return compact(members)


def certificate(key, year):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(7)
            .not_valid_before(datetime.datetime(2020, 1, 1))
            .not_valid_after(datetime.datetime(year, 1, 1))
            .sign(key, hashes.SHA256()))
    return cert.public_bytes(S.Encoding.PEM).decode()


def c_string(text, indent="\t", end=" \\\n"):
    """A C string of several lines."""
    if "\n" in text:
        parts = [line + "\n" for line in text.rstrip("\n").split("\n")]
    else:
        parts = [text[i:i + 60] for i in range(0, len(text), 60)]
    quoted = ['"' + p.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
              for p in parts]
    return end.join(indent + q for q in quoted)


def define(name, text):
    return f"#define {name} \\\n{c_string(text)}\n\n"


def keys():
    good = {
        "RSA": rsa.generate_private_key(65537, 2048),
        "RSA2": rsa.generate_private_key(65537, 2048),
        "P256": ec.generate_private_key(ec.SECP256R1()),
        "P384": ec.generate_private_key(ec.SECP384R1()),
        "P521": ec.generate_private_key(ec.SECP521R1()),
        "ED": ed25519.Ed25519PrivateKey.generate(),
    }
    bad = {
        "RSA1024": rsa.generate_private_key(65537, 1024),
        "K256": ec.generate_private_key(ec.SECP256K1()),
        "ED448": ed448.Ed448PrivateKey.generate(),
    }
    return good, bad


def key_part(good, bad):
    k = base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()
    out = "/* 64 bytes, enough for all three hashes */\n"
    out += define("SECRET", SECRET.decode())
    out += define("SECRET_JWK", compact({"kty": "oct", "k": k}))
    for name, key in good.items():
        out += define(f"{name}_PRIVATE", private_pem(key))
        out += define(f"{name}_PUBLIC", public_pem(key))
        out += define(f"{name}_JWK", public_jwk(key))
    out += define("RSA_PKCS1", public_pem(good["RSA"], S.PublicFormat.PKCS1))
    out += "/* of P256; it has expired; the other has not */\n"
    out += define("P256_OLD_CERTIFICATE", certificate(good["P256"], 2021))
    out += define("P256_CERTIFICATE", certificate(good["P256"], 2124))
    out += "/* too short, and of curves that are not taken */\n"
    for name, key in bad.items():
        out += define(f"{name}_PUBLIC", public_pem(key))
    out += define("RSA1024_JWK", public_jwk(bad["RSA1024"]))
    mine = json.loads(jwk.JWK.from_pem(private_pem(good["ED"]).encode()).export_private())
    mine.pop("kid", None)
    return out + define("ED_PRIVATE_JWK", compact(mine))


def sign_both(good, alg):
    """What PyJWT and what jwcrypto make of it."""
    if alg[0] == "H":
        key = SECRET
        k = jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode())
    else:
        key = private_pem(good[KEY_OF.get(alg, "RSA")])
        k = jwk.JWK.from_pem(key.encode())
    yield "PyJWT", jwt.encode(CLAIMS, key, algorithm=alg)
    token = jws.JWS(json.dumps(CLAIMS))
    token.allowed_algs = [alg]
    token.add_signature(k, None, json.dumps({"alg": alg, "typ": "JWT"}), None)
    yield "jwcrypto", token.serialize(compact=True)


def token_part(good):
    out = """/*
 * {"sub":"ada","name":"Ada L","role":"agent","workspaces":["w1",{"id":"w2",
 * "sessions":["s1"]}],"iat":1699999999,"nbf":1699999999,"exp":1700003600,
 * "jti":"t-1","iss":"https://issuer.example","aud":["x","chat"]}
 */
static const struct {
	const char *by, *alg, *token;
} token_vectors[] = {
"""
    for alg in ALGORITHMS:
        for by, token in sign_both(good, alg):
            text = c_string(token, "\t    ", "\n")
            out += f'\t{{ "{by}", "{alg}",\n{text} }},\n\n'
    return out + "};\n\n"


def main():
    """Everything but the examples of the RFCs is made anew."""
    old = open(HEADER).read()
    head = old[:old.index("/* 64 bytes")]
    rfcs = old[old.index("/* What is signed there"):]
    good, bad = keys()
    with open(HEADER, "w") as f:
        f.write(head + key_part(good, bad) + token_part(good) + rfcs)


if __name__ == "__main__":
    main()
