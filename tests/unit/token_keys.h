/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token_keys - keys for tests, and tokens signed with them by other software
 * (Debian's python3-jwt 2.6.0 and python3-jwcrypto 1.1.0).  Nobody trusts
 * these keys.
 */

#ifndef TOKEN_KEYS_H
#define TOKEN_KEYS_H

/* clang-format off */

/* 64 bytes, enough for all three hashes */
#define SECRET \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SECRET_JWK \
	"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZW" \
	"YwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg\"}"

#define RSA_PRIVATE \
	"-----BEGIN PRIVATE KEY-----\n" \
	"MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCbMaB+Dx3wwtKH\n" \
	"nh4rv4Rt1Z95PcOOwf8jn8W3UzUK5qE11IiUxUhpDJdkxufyLgOs3O50raLA5sBL\n" \
	"lf3dHcr35wJTD2kwLVCWn2apvmKX+dqeuse3+JSmFKpnTC3McDeNvvaAgKIdNyya\n" \
	"pfggvvkY76ZIp5YlfCZ+YWkZlfZ1Qm3AfSLNP7rmtm4lX4jg8FfVzb88+cLyTpv2\n" \
	"TkPx9Utbpt+clGaDaB5xGdaVf+gr0EOryQ1VRw2TY9UsQt/KIQhO+kXSrdQ1XUfz\n" \
	"6ZNBDxtv2jCaun77loPbuF3g2LR6O6LghYQk84q1mu+TQ2LIVCjQTFrnxdvYcWSz\n" \
	"4LlpcX+pAgMBAAECggEANT2SNIzVFaqQdQwOh62dLdzyZ7KDqy7sa3k9aAX4lXPH\n" \
	"bGMsM/V2QOub6GvAWLnmcuAcQhTrV8gRwhyDyd6VqfQrPPl1eZyiH/oxSxxQUJjb\n" \
	"okari3aQ8GT4jJV6xL7eoBcaE72NX/50o906QWmipSZZ4mTzwopT3llmp+tlcJY/\n" \
	"nv/U9lYNJz/2BRRgpJGoRrBKeCg59S2umzgL9FTBMjq4rZbJ/RpQssR6yb8gNk3X\n" \
	"9laB3S7X8UJry9Ie08NJlIqh5eXpZEAVb1t8rlAo3XX97o8VNPkOAkveBsrsUT2X\n" \
	"/F3hIGzbwp8y8JV0pIovqrO33bXy/Uof6ufhI2x7vQKBgQDOUyHysG+vkVe8xUME\n" \
	"f0GjFqQl0mhPt8hmRfygSfppvlx9nOl4hcfYcgRKY/D/DzxN8VxyAVcfV81PE6wX\n" \
	"8Qm9w1+7icr3CeFgj33lBwvWNsEBegypyK1juObFN+m1Z38e1MGeywOd8DZD6YFQ\n" \
	"SCeRbLY7oUBNchFYwjSu8llprwKBgQDAjwgugVHyJ548uLRM/MjIWaKT6VvmDj8p\n" \
	"QYWgpVd4J2iGC2EDmnJ9tYPF2gVOgKEka/SRuKcxZlzLUo7ZLe36PTen5QeglMHO\n" \
	"9qU6FnpKS1dK1fkK4pC7tyxdaLcH8+RGQ49das/ev7wT0RrcVfGtBj90NoakMNLg\n" \
	"PiUxBBt6JwKBgDr06GN35UIu7vpDB+Z2EqRuqNMh76qv4nTPFOQcn5Ct07IVL2XA\n" \
	"HJ4N3on/SvMnQF0pVfhBx8puBX3OKkPhHZ57AJUPR88VpLA58IiMXeaFWNt6K7os\n" \
	"XNd9E3xRgNfUTi/aLcWZT1xHMspvJANzytK0VNJvPnei27AYNoOzPreDAoGAR97a\n" \
	"8eioulZZNFbITRfopQb3rHdkKpjUsERZaN1tqVYkKCvlGOAzrYHrXhSC+IsAGkUE\n" \
	"8sLV/JU1O1pkIOGIumbQ+CR+1UvQjrv2bZjoKgS23yLAInTwCnBS6cZk0l4QrL0Y\n" \
	"rIhqb7xmqYrZmLWnT6pOUsTrOitS+gmX/hSHYO8CgYA/MEN53me2XktmRAnoRW30\n" \
	"gY2VrFQETL7Z1APaVfFjh1F0TKlyTwEX441yIR5nqFW6l1vxRoUpdZYv+AUcj7DM\n" \
	"lpOkKUmTKJa5bQhq89uc88AwbC6apUo3AOgYetznw8q1INwcbxfO3EwZ3BqUfpP6\n" \
	"rZn80CVzw2/H1xs4aq5AuA==\n" \
	"-----END PRIVATE KEY-----\n"

#define RSA_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmzGgfg8d8MLSh54eK7+E\n" \
	"bdWfeT3DjsH/I5/Ft1M1CuahNdSIlMVIaQyXZMbn8i4DrNzudK2iwObAS5X93R3K\n" \
	"9+cCUw9pMC1Qlp9mqb5il/nanrrHt/iUphSqZ0wtzHA3jb72gICiHTcsmqX4IL75\n" \
	"GO+mSKeWJXwmfmFpGZX2dUJtwH0izT+65rZuJV+I4PBX1c2/PPnC8k6b9k5D8fVL\n" \
	"W6bfnJRmg2gecRnWlX/oK9BDq8kNVUcNk2PVLELfyiEITvpF0q3UNV1H8+mTQQ8b\n" \
	"b9owmrp++5aD27hd4Ni0ejui4IWEJPOKtZrvk0NiyFQo0Exa58Xb2HFks+C5aXF/\n" \
	"qQIDAQAB\n" \
	"-----END PUBLIC KEY-----\n"

#define RSA_JWK \
	"{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"mzGgfg8d8MLSh54eK7-EbdWfeT3DjsH" \
	"_I5_Ft1M1CuahNdSIlMVIaQyXZMbn8i4DrNzudK2iwObAS5X93R3K9-cCUw9" \
	"pMC1Qlp9mqb5il_nanrrHt_iUphSqZ0wtzHA3jb72gICiHTcsmqX4IL75GO-" \
	"mSKeWJXwmfmFpGZX2dUJtwH0izT-65rZuJV-I4PBX1c2_PPnC8k6b9k5D8fV" \
	"LW6bfnJRmg2gecRnWlX_oK9BDq8kNVUcNk2PVLELfyiEITvpF0q3UNV1H8-m" \
	"TQQ8bb9owmrp--5aD27hd4Ni0ejui4IWEJPOKtZrvk0NiyFQo0Exa58Xb2HF" \
	"ks-C5aXF_qQ\"}"

#define RSA2_PRIVATE \
	"-----BEGIN PRIVATE KEY-----\n" \
	"MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDg/nL2DNCkrHic\n" \
	"ikmjBwoFx5X/ESoR781A/WTdTfswrDgrFgO/SWz2v4+G7HJaXjwclJTfHPfJroyT\n" \
	"ANfqccZj+REwnPOTGUWPAgafQjXcSFChucnNBAGO0lAE5enoDIfcwaJG9wuxYYfX\n" \
	"mK5/fjqHcJ5wk8Qfm25LKmrmtLM/9zk9HQsOb8preCBFlOC9eyoYVLQ9IaZ6gqWd\n" \
	"Tja1pwPO0XBc3BbWy7LnZKBf7YMnG6ZjEhrPHJiY3ODayx7KnAFgTDjk09AbKYyp\n" \
	"AbcwQvoRRUdZU+xaH8c1kaM2s0uJhglUyNSA7DG0lSgs0gMxCNyjqUdvPceAuVFB\n" \
	"QdRLPpj9AgMBAAECggEACwRKisO736RWT4vx6RqqIfhQ3ulvPuuYCEugCboMx6hX\n" \
	"I7zzOAWXYUml9HxVaRleJiQcWgRoGacDWRtcdy1VAoYqkk/NGXHOVx9JRbkPPBcK\n" \
	"Y7DeMby1etHPez3qwyMB8AxHLuRf3TKiXSsruDBtGz6nc2m427dXojSUgXFtqX8Q\n" \
	"9CwHLCfyih+5K+t27N58luExtOS+0zrqKZ4QGlkKAQun4jsxUZCBZBCeSR8SjATq\n" \
	"+0CZX9/3/Fg3rw4AOvu8O3S7CigZukxqjvGdl+P2nBm736nC8GSuk7BWa/62BBQh\n" \
	"+gFq7pPCYOgiNLADMDZlr1ppXw1hmxFgXe/PR3kQQQKBgQD9EaL6NYM2IJ0ObJ5b\n" \
	"FcEjZURl5aUjNiCibLBU68r1fC4aQM/Lv7/8CnLPgkoz7YwnmAKmRKF9JUo2yAwB\n" \
	"kJ6auvw1DdnFfoBEpBuknMs9RaZ2Ez2+VyO5PyRUc+ZvnlOWEIlsGkobJL+sWC+6\n" \
	"tIgFg5oaDOY2CLWNi5ODHMAnMQKBgQDjmZGSd9Pfg9/VKq6oF3WfM4UM/54KfR/E\n" \
	"cZ2qO152Bj138YWCJ5LHK+v23Bf3yI+nn+9qSrZ4ryYqzzOkxD5moWgRVLEiwIx+\n" \
	"ZbuCYZBEulyGpuIyoFUWJmEDbRxQkUcwATRnXT6IG/V2+oKK13sGX1BL0kl5qOso\n" \
	"rj9paS5zjQKBgQDAGqRCFV8eNpGignePIytyyAus4i+CVDNfuOv9+uQdh3+jtDFJ\n" \
	"NKzzEadnuDrFwnxTDgRs3MpNqoH0pdTfVz3erTSIvZPjZIzQDldhlRh+0aF0HlUP\n" \
	"aSyYEcNtTHHPpztCPhljc21vv2y00lig/SwIK4dOYR5cRC41XY/Dxo5i8QKBgQCn\n" \
	"RQTUlVZUbdICEyVbiio6v51oKTDYWo8PS8TpCErrCLkCPrG1LypTULdRrP28cF0L\n" \
	"f6JwBsrGNUsiqTc2P7fwq20VV537gXF/r3q4XsWtjR1VJK8XL/h4l+oyn2zw1WRx\n" \
	"JmGCGehMFeg38fIg4i6bR092+exgCkIRmsYlzVSDPQKBgQCYks3qs/P9VKssOUg3\n" \
	"lmUuw1o2jg7RTXsL34qfbmofZCXheHS0KjHntfV13JWsem46VmRcG9wRTxx8HimD\n" \
	"wHPaxHcWKh4yEKU7DxK+/ktsq98+BLCs4sN9pvNYSIoZCXxX31Dh32G1juEcc1/+\n" \
	"Ec/px/BtyZgpP2CLTkqUdCrT+Q==\n" \
	"-----END PRIVATE KEY-----\n"

#define RSA2_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4P5y9gzQpKx4nIpJowcK\n" \
	"BceV/xEqEe/NQP1k3U37MKw4KxYDv0ls9r+PhuxyWl48HJSU3xz3ya6MkwDX6nHG\n" \
	"Y/kRMJzzkxlFjwIGn0I13EhQobnJzQQBjtJQBOXp6AyH3MGiRvcLsWGH15iuf346\n" \
	"h3CecJPEH5tuSypq5rSzP/c5PR0LDm/Ka3ggRZTgvXsqGFS0PSGmeoKlnU42tacD\n" \
	"ztFwXNwW1suy52SgX+2DJxumYxIazxyYmNzg2sseypwBYEw45NPQGymMqQG3MEL6\n" \
	"EUVHWVPsWh/HNZGjNrNLiYYJVMjUgOwxtJUoLNIDMQjco6lHbz3HgLlRQUHUSz6Y\n" \
	"/QIDAQAB\n" \
	"-----END PUBLIC KEY-----\n"

#define RSA2_JWK \
	"{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"4P5y9gzQpKx4nIpJowcKBceV_xEqEe_" \
	"NQP1k3U37MKw4KxYDv0ls9r-PhuxyWl48HJSU3xz3ya6MkwDX6nHGY_kRMJz" \
	"zkxlFjwIGn0I13EhQobnJzQQBjtJQBOXp6AyH3MGiRvcLsWGH15iuf346h3C" \
	"ecJPEH5tuSypq5rSzP_c5PR0LDm_Ka3ggRZTgvXsqGFS0PSGmeoKlnU42tac" \
	"DztFwXNwW1suy52SgX-2DJxumYxIazxyYmNzg2sseypwBYEw45NPQGymMqQG" \
	"3MEL6EUVHWVPsWh_HNZGjNrNLiYYJVMjUgOwxtJUoLNIDMQjco6lHbz3HgLl" \
	"RQUHUSz6Y_Q\"}"

#define P256_PRIVATE \
	"-----BEGIN PRIVATE KEY-----\n" \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgwiYZLctrvclzim+U\n" \
	"A/aPlw9SXZW3qdzG1m1/B5mr+S2hRANCAATDsh8YElwvTvtO7OBrt1n4+/NL54iL\n" \
	"ZHcmP5neesqJYqrTq+nfgzNrEWBWMiwKB2PszE+WnudTP8FUUGOO1e/4\n" \
	"-----END PRIVATE KEY-----\n"

#define P256_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEw7IfGBJcL077Tuzga7dZ+PvzS+eI\n" \
	"i2R3Jj+Z3nrKiWKq06vp34MzaxFgVjIsCgdj7MxPlp7nUz/BVFBjjtXv+A==\n" \
	"-----END PUBLIC KEY-----\n"

#define P256_JWK \
	"{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"w7IfGBJcL077Tuzga7dZ-PvzS-eIi" \
	"2R3Jj-Z3nrKiWI\",\"y\":\"qtOr6d-DM2sRYFYyLAoHY-zMT5ae51M_wVRQY47" \
	"V7_g\"}"

#define P384_PRIVATE \
	"-----BEGIN PRIVATE KEY-----\n" \
	"MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDy0PaFN7nE67RnQ2KQ\n" \
	"fBVgf9AmYR6DLzs0cnapc/QDsDUO6QGnOWx5fzNtorsrvnahZANiAATBtBlg5Snu\n" \
	"pxI/kWvTNNO7z6yWI1UNPl9Xxd2MHexsQlMVk4zmUC6C29QaIBKAazJpC1qSy2xn\n" \
	"vDnyCzkMJK7DNK+a/8aFz17iFeYqPDYuKLP4/X5GrZC05w2BSg75108=\n" \
	"-----END PRIVATE KEY-----\n"

#define P384_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEwbQZYOUp7qcSP5Fr0zTTu8+sliNVDT5f\n" \
	"V8XdjB3sbEJTFZOM5lAugtvUGiASgGsyaQtakstsZ7w58gs5DCSuwzSvmv/Ghc9e\n" \
	"4hXmKjw2Liiz+P1+Rq2QtOcNgUoO+ddP\n" \
	"-----END PUBLIC KEY-----\n"

#define P384_JWK \
	"{\"crv\":\"P-384\",\"kty\":\"EC\",\"x\":\"wbQZYOUp7qcSP5Fr0zTTu8-sliNVD" \
	"T5fV8XdjB3sbEJTFZOM5lAugtvUGiASgGsy\",\"y\":\"aQtakstsZ7w58gs5DC" \
	"SuwzSvmv_Ghc9e4hXmKjw2Liiz-P1-Rq2QtOcNgUoO-ddP\"}"

#define P521_PRIVATE \
	"-----BEGIN PRIVATE KEY-----\n" \
	"MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBmeml8rTBX1RmtCCp\n" \
	"foyE2r8o6NcPR8tJQoJnsqbXSTlDqYW4SK9FNmiC7VXurvREl4xrsxFRGb5+7tNq\n" \
	"DhQtrQWhgYkDgYYABAA1ThtgPLS+l/U4Eyfbjkr6dCm2+C30WSl4P4FdpEpLi6r9\n" \
	"g0c5vesYFYq1Iz4r8ai/jb+NQciWwook+4XpiiaLIwGICXYgqb1kLAA8LeCtg3HR\n" \
	"XOhZjR7CfQqVc24zx5z8R7Ip5S9vOfqSHcskIF86OWLoUMwunjLEf+mgluf6aUd/\n" \
	"fw==\n" \
	"-----END PRIVATE KEY-----\n"

#define P521_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQANU4bYDy0vpf1OBMn245K+nQptvgt\n" \
	"9FkpeD+BXaRKS4uq/YNHOb3rGBWKtSM+K/Gov42/jUHIlsKKJPuF6YomiyMBiAl2\n" \
	"IKm9ZCwAPC3grYNx0VzoWY0ewn0KlXNuM8ec/EeyKeUvbzn6kh3LJCBfOjli6FDM\n" \
	"Lp4yxH/poJbn+mlHf38=\n" \
	"-----END PUBLIC KEY-----\n"

#define P521_JWK \
	"{\"crv\":\"P-521\",\"kty\":\"EC\",\"x\":\"ADVOG2A8tL6X9TgTJ9uOSvp0Kbb4L" \
	"fRZKXg_gV2kSkuLqv2DRzm96xgVirUjPivxqL-Nv41ByJbCiiT7hemKJosj\"" \
	",\"y\":\"AYgJdiCpvWQsADwt4K2DcdFc6FmNHsJ9CpVzbjPHnPxHsinlL285-p" \
	"IdyyQgXzo5YuhQzC6eMsR_6aCW5_ppR39_\"}"

#define ED_PRIVATE \
	"-----BEGIN PRIVATE KEY-----\n" \
	"MC4CAQAwBQYDK2VwBCIEIKxvMZ1sAr6Pnetokqzf55jAARUQ5isY1ogg52MWURBJ\n" \
	"-----END PRIVATE KEY-----\n"

#define ED_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MCowBQYDK2VwAyEAT1c9y6OQpaWNYwuD/k+yTmuICwm8at1LbgfI52WhkW0=\n" \
	"-----END PUBLIC KEY-----\n"

#define ED_JWK \
	"{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"T1c9y6OQpaWNYwuD_k-yTmuICw" \
	"m8at1LbgfI52WhkW0\"}"

#define RSA_PKCS1 \
	"-----BEGIN RSA PUBLIC KEY-----\n" \
	"MIIBCgKCAQEAmzGgfg8d8MLSh54eK7+EbdWfeT3DjsH/I5/Ft1M1CuahNdSIlMVI\n" \
	"aQyXZMbn8i4DrNzudK2iwObAS5X93R3K9+cCUw9pMC1Qlp9mqb5il/nanrrHt/iU\n" \
	"phSqZ0wtzHA3jb72gICiHTcsmqX4IL75GO+mSKeWJXwmfmFpGZX2dUJtwH0izT+6\n" \
	"5rZuJV+I4PBX1c2/PPnC8k6b9k5D8fVLW6bfnJRmg2gecRnWlX/oK9BDq8kNVUcN\n" \
	"k2PVLELfyiEITvpF0q3UNV1H8+mTQQ8bb9owmrp++5aD27hd4Ni0ejui4IWEJPOK\n" \
	"tZrvk0NiyFQo0Exa58Xb2HFks+C5aXF/qQIDAQAB\n" \
	"-----END RSA PUBLIC KEY-----\n"

/* of P256; it has expired; the other has not */
#define P256_OLD_CERTIFICATE \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBDTCBtaADAgECAgEHMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBmlzc3VlcjAe\n" \
	"Fw0yMDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBaMBExDzANBgNVBAMMBmlzc3Vl\n" \
	"cjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMOyHxgSXC9O+07s4Gu3Wfj780vn\n" \
	"iItkdyY/md56yoliqtOr6d+DM2sRYFYyLAoHY+zMT5ae51M/wVRQY47V7/gwCgYI\n" \
	"KoZIzj0EAwIDRwAwRAIgXdUerATsT7wolNkZXmQM1ckDcblVx2xGjQEEwWpwxIMC\n" \
	"IGPtbS1cRLumbnrmsev/MA2lPY1uUzhmL36W3NVvf4NU\n" \
	"-----END CERTIFICATE-----\n"

#define P256_CERTIFICATE \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBETCBt6ADAgECAgEHMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBmlzc3VlcjAg\n" \
	"Fw0yMDAxMDEwMDAwMDBaGA8yMTI0MDEwMTAwMDAwMFowETEPMA0GA1UEAwwGaXNz\n" \
	"dWVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEw7IfGBJcL077Tuzga7dZ+Pvz\n" \
	"S+eIi2R3Jj+Z3nrKiWKq06vp34MzaxFgVjIsCgdj7MxPlp7nUz/BVFBjjtXv+DAK\n" \
	"BggqhkjOPQQDAgNJADBGAiEA/p6RkeAnPdOCSSY7qFoFO55NBRvyY84G1X8WXyRc\n" \
	"eQACIQDiO6nkKaWOAiRYqAl4cyk3kzz4o2FC5fBE71Eu2failA==\n" \
	"-----END CERTIFICATE-----\n"

/* too short, and of curves that are not taken */

#define RSA1024_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDl+HBttJGUUsJ4l2NiR5OKm4VY\n" \
	"1WKKTWSFbE1cfz1qE3iEnlwy2afafGxICYxdpPG/VhMQQHmY4wVpQCNQiG5DIXBV\n" \
	"iv9Yo4ahzjsjkiZdYuZrd5y7YNYJF062VpJzXwMM2+xgj9q1zWapu244e/qUCJQq\n" \
	"lgTOI0b5WY4VVcSmpwIDAQAB\n" \
	"-----END PUBLIC KEY-----\n"

#define K256_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEIlSvH/Gw/wuFNLVrG9acDAtAnw1a+p7G\n" \
	"0pi9n4Hcalx8SErdhiS/VDvYhOW4Xh+X/khvwQzSzdnR69V2/AvXpg==\n" \
	"-----END PUBLIC KEY-----\n"

#define ED448_PUBLIC \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MEMwBQYDK2VxAzoAVXHnoOnAoUMImI4iVq85HB/qyq/28iWUktKW17vIARcKWaRn\n" \
	"2pDL6vNGmo0WX+WMd4syjGVJqx0A\n" \
	"-----END PUBLIC KEY-----\n"

#define RSA1024_JWK \
	"{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"5fhwbbSRlFLCeJdjYkeTipuFWNViik1" \
	"khWxNXH89ahN4hJ5cMtmn2nxsSAmMXaTxv1YTEEB5mOMFaUAjUIhuQyFwVYr" \
	"_WKOGoc47I5ImXWLma3ecu2DWCRdOtlaSc18DDNvsYI_atc1mqbtuOHv6lAi" \
	"UKpYEziNG-VmOFVXEpqc\"}"

#define ED_PRIVATE_JWK \
	"{\"crv\":\"Ed25519\",\"d\":\"rG8xnWwCvo-d62iSrN_nmMABFRDmKxjWiCDnYx" \
	"ZREEk\",\"kty\":\"OKP\",\"x\":\"T1c9y6OQpaWNYwuD_k-yTmuICwm8at1LbgfI" \
	"52WhkW0\"}"

/*
 * {"sub":"ada","name":"Ada L","role":"agent","workspaces":["w1",{"id":"w2",
 * "sessions":["s1"]}],"iat":1699999999,"nbf":1699999999,"exp":1700003600,
 * "jti":"t-1","iss":"https://issuer.example","aud":["x","chat"]}
 */
static const struct {
	const char *by, *alg, *token;
} token_vectors[] = {

	{ "PyJWT", "HS256",
	    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.C0h9hNn05OJ1R22IOi6p_ULB2eVw4dIoi2tMV6Yi0AQ" },

	{ "jwcrypto", "HS256",
	    "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.msXD3WMY8S9"
	    "MjbuEGcgnMcyu20HSoJJU85EeXcj4nmo" },

	{ "PyJWT", "HS384",
	    "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.Z93vpnjDIZeJIyu2JcKlB4LbeuyjTTR-cJQPwgecC-0Be7p"
	    "bmxHGSOqcXE49cyNT" },

	{ "jwcrypto", "HS384",
	    "eyJhbGciOiAiSFMzODQiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.nkNpeqWhMbe"
	    "h6F2IIy2-Sxqr48B4HVfgD0NZZWkyVYp-pX9BtMaTXvmtfCVtarFE" },

	{ "PyJWT", "HS512",
	    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.TGjLLnGxV2G6Rrd6xN1IpmEzFz0qooXPxJs1RWZ8kevSGqO"
	    "vXXBcch4AV-_hWXebYX8Ea-yI3idOOz77l9pMXg" },

	{ "jwcrypto", "HS512",
	    "eyJhbGciOiAiSFM1MTIiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.flwnEc_RXwG"
	    "lamXdJ-hZV780byyaihK1390zrr-oSnmS3QJHuRA7dqzIw3jji9fkFt1a6ia"
	    "Oo2Me0a-9azIRoA" },

	{ "PyJWT", "RS256",
	    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.jYdL8TWYduhCJALOcaB3lY3OragCIYfjFZuS5TCjPbovLkD"
	    "IsNjc2Wt4S5EpPluna2OsrrlvAdvs8AV2WHXcjdejZnRlj4n7moyxVL08zoe"
	    "_URZdpniKjyfQ4ugMq3KznuoChlr2tGBa03FzesqZy-lwUnsfs4yelDSlDSL"
	    "eaJTBbuDUeWIK1KP9oVUa1fek1hwnxNeW35ugHHMFDcUsxufAGX1vNCd8ok6"
	    "_agVsLXjOZJGqGlFl_P8ZzoV3v-uoPHwwB_mTNLJiIicQGf4LlNDlKosKjlY"
	    "C8asv-HLKc3umYvf2zGjhkqL0uMLPZ9D5GbcgexLwzETd0Q9rpzzrlQ" },

	{ "jwcrypto", "RS256",
	    "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.VmIcvAxX0US"
	    "XVcHU0VS5I1rDx2-OZm1JEo6T0yjNqCUwZRZlpaO0ueaY5-jL2UyKEMvUwgY"
	    "J7Dzhs5o1vOZAIfBOSdK6ZpK6Ph5MGKBLAgN5T3IZbrS21fNi_Zz60-cJX2s"
	    "A61e2d4i0T3EqlqnF6Bi9ZD_-fCrniHoNzM-xNQ1hhLIDUg2_JlZKYB29F8i"
	    "dv-cDW1gZKvggtR_YhEpkg0JkSp1iaNhV_mom_CqXIh-HwOrmfxKwnbTznlI"
	    "mIc2ci_NvxyTBPdWts9ioCu7K9P0FV2c55DR7E4-VSZWz3PfmKtL3GZYkMNJ"
	    "cbIPvDM1k8DdM2RL6CQzYBSpyODratw" },

	{ "PyJWT", "RS384",
	    "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.Rq60aPNoooOlJ7E68Ohg7ooqM0fWikggK1qzi9Gl5HYYBY9"
	    "xaQvWtTMIrvLxTQlAs7sE1f08qS0gW8GsfTdWr_hHAfjqA5efjH7YZNDITpw"
	    "3KHUzw-qhzSGdmIY7lfLpNoBRdT2397zng8yvJz_bqSwQ2B93-Mj_AqahO1j"
	    "tjrXC6sXyVEbwR5MIzGAx2CtMVntHWBjrU_Pbj8n36PWFxqsFzR57mbwza5G"
	    "uBTgI3d4JVt8Pg4wnCGfPQEVkiqQ0eHpgmOipg58t-G_unhBltBZyYJkyesP"
	    "pPyfTEUloI_BgbKKU7pgNz43VcnPxqJEgumv__kwi_hoJDLdabJraLw" },

	{ "jwcrypto", "RS384",
	    "eyJhbGciOiAiUlMzODQiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.mBbnNp-LENX"
	    "hRszqDUXh_pWIjSjVyYQPbiVIw03SmZK7QoWdcu8gY2jqPuR6bPR9pJ5qZFq"
	    "PxGwHqyLG5cPZqVSTQtc9j0nEUdCqRVqjfnC9BLU-m2cVwBlldooMa061bJ2"
	    "oXA4i04tm9JT7X6g9WrXQ7qkdVn1ylV7f5FwQEh1pafiZHlzvyZTs6Bnj1KA"
	    "Hk6tiy5f8MxEoTsvbKf1yB446OiEdqUT_Syg_j4DProf15lzbwqIokMT2C9t"
	    "3Nn0jiqvRKrLa8NL3YSbgv0ed-ePWQ7xCu6Fz0eGKuZjBsKDrvcfxyq4D0O1"
	    "KTUV2_sI1X0Oe19CJmGqfgmqnIf8FrA" },

	{ "PyJWT", "RS512",
	    "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.JpVBESqBf-6T_1p1b2bd1dVZkT4DsTsjsPPJlPUxZyZhunM"
	    "XnbN3NAtmQ2ShsVatG95ZQ-3g8Jq7A08CvIBGbUKcpXssWQel_gYBKUFSKRr"
	    "EcKfOaVIX03o6kY6MebBhnLeQPCJ2E8jcMIRpJ-Xmmjq6SUR7YDdbScNgILR"
	    "xN8cGl1PuPbEPUTcJK2gfM4bpVCrtDwxC0fh0Y39NnQo2bjvdaZGhSC_CjwJ"
	    "2eA3aPXxMSIy6MlQR7hbl7q1eMc0VCn-sH7NvnNKdZFg8ebX2npgfOIZYeTf"
	    "eTX--w3JRO2cttiBV65qXoH79wPtyBZ2yV4sK1XkY-cTjgDjwCsU4FA" },

	{ "jwcrypto", "RS512",
	    "eyJhbGciOiAiUlM1MTIiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.SMrhTQNdXAv"
	    "qHc6mEn4lGqKdljnwoxQChW38GVK4KPLp4tKdmeDY2kR1L0vYokpiriyWrbo"
	    "xMUcrcm1rvBfAvOHDRxGiJsEnExGY7LcCnFCyAyFQD0qCOGgONO9dgm4XYKL"
	    "xBJnCAngsk6PMefrVzb15i0_K3iGadW7NHRLDGXZiijFJ7qgFtkZ4UtS_2oP"
	    "cC9cR0u4FrMdT-sG8G_IKk633IjbLFZTmHrhP8-RdvfuEt-ndj4_UIje61bu"
	    "lCQ8xuT0g6P59f8iYpfSOrYreL9bQFCkWA1mjkx-fPaUOV9BTFUv_sR9YnLU"
	    "CzTKBjQ2Pw5q1YjV3U5ZEnfHqayPKpw" },

	{ "PyJWT", "PS256",
	    "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.RCIl4VSrgjciQf5YREHyvyddcj0EVaaYWY7f0ZlwBSo52BX"
	    "Hh2_MFlSvPWL62sJzK8L3FQHVdOAQBPpkcSbEP64MPuCAVusl00dSpfEKI66"
	    "fM78Qx90fTh41KtMRPmjlfY2IdwaQh1ggMh3xEpcJDcj3BxDykVLBHF3bOo6"
	    "7tCzFz1yvtA-I7U-_EJPEMmqjgAZax8HwLptGm2wzXoVf1ET6RwsQljETaWp"
	    "1Si5BkDXShloIU1qksFsGMlN9MsyVUWn3HGn1MnhUqtWgagQdxXAMwQyUI3z"
	    "RdJkqujqz9k-WJri7T4jMyUFJvhV4ghSFulIxBYR_cSZ_v_igr4myLg" },

	{ "jwcrypto", "PS256",
	    "eyJhbGciOiAiUFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.BkwfavM1WSD"
	    "_qNsx-uG_g8XQ3HKXBeIGJuk86tFLXv38esRa-HlhoqtfSBhwULs8sfFN4s-"
	    "K4W8oFn4jOzLLc937KhLGOzWbzrjsTuP_K7IvsWljmRXWy4oNSM6Ngs89jR6"
	    "LCFLPVleq-Wsnk6SFEgBBCLSr41i8lKBvIcGIlOd-R9REh32kBmZKtz2cMLK"
	    "uGzGHKp6PT-kP59jBB1bcaYRmhyVvtZAypgG6bMEbgepGSzXHL5VA-cCCTUx"
	    "1Od4-oTeaDXfRCsX8Ou7Z7fdmtMLlIOxRYitVWVo2YmOOqbZq1NBXuiWpx23"
	    "irW84cEx9_aC5cw8y7ZVU4pYCygI_pg" },

	{ "PyJWT", "PS384",
	    "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.jmpCHaPtADfLB-M27XQKZ2vkP3rHiGW6rXzRAaeguguKr5t"
	    "iUNNiFjuylnYHzd53sVNX_KHb4wBG67lYsoNFezT17ku8dkfTs9J8hh2x8ua"
	    "k8GyJy3Zv4DyZrwLQQn4QYg5Na6iMUFILbarDzuQi7lWTjgJzrPjshNkdSJA"
	    "aib73Z224VjL8sOiTiQy5LW-GsGSkOZ6iX_MQ4zBMqgWMG6zFZClmGG6d38p"
	    "tvvZjQGi8TEmJCdFTyiAzMrvUX7z1765HwSzMf9jBHvLAbetmW95CgIzK3Q9"
	    "9Krov9u89nlKX9wSmvAtSan-_AnWqHNfwwTudqO0AQnBGoyP59F1vSw" },

	{ "jwcrypto", "PS384",
	    "eyJhbGciOiAiUFMzODQiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.XDwLJJOflQV"
	    "_HZgQMAuNs5HtvMkuvYz9ZhemXWNufIkDWkE1sFpU88vOz2dNvyhfZcjC8xs"
	    "JnNdWQjm7V1w7wjUaCKd4MS-D1FO75qCcuKokzFdQ_bsSikbyVb8IcOucAtA"
	    "gG9TK6iAAe4g03NbMTKhC2SlAvE2naltqKacnxS6kNYyC9UfuF6lwJulLQkD"
	    "5wKa-mVna39tuwXGEDDY2ZRu6OnSOIemrTMEKb2_pwYuM6BSDqRutQCJFFrx"
	    "zh9ugR_ZR1a8mv9iW0VWcRYgAUgHVjhgPBMYc53y355wY5bCyJ4gS5ISQe58"
	    "dIfJ3QFSqm4n0J0qQLzF2DZAd6wx3ig" },

	{ "PyJWT", "PS512",
	    "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.bkbGh6A6LTpxKObQoqEuNP1tms6iqO9J0Yb4tpxKZLAV09i"
	    "gq8oCCRaHY6tZC5QUdoesl3SoLcZFnux5TtWaDSqokl8ovj3GVly4ACrEmpH"
	    "DWiHEtL83UfcWBg00SBN9va_316mYPzDqD2uCey5jVosycoXHJS9qVQCg6pO"
	    "jTPQYRU6KjysCqf-8Eogb9Nt-edG6tuzG9x5DyCeiqmlBkhTGhvID5GmL4TP"
	    "EhiVOzrWODpMlIy5WyD1UJDbVfBedPrIhp-wGHixp_2e7iihtmQC8OAVrGof"
	    "M8lElLrSq6nFer0xE_-rTXe8uspdQNlojS-sgLTeYt0leaAS7-a7zAA" },

	{ "jwcrypto", "PS512",
	    "eyJhbGciOiAiUFM1MTIiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.ZE-MyUJBDGF"
	    "G7FTjZRb-Jyb0G4LsrbJt0pIzJBJc6d46dNSyDhGjCKYH6913owDDgvZqwcP"
	    "DyqUq8xs7_ovSE_jGRMqP2MXqStDP-oKSllX2kaH1dLiaTJ1JL-kZA3lMwrk"
	    "g1RPS3QqqO4pWCXWkmED4plR4du7Qw1vuUWURyFFqFVBQ_0supEEa56mmEzg"
	    "35iSwSfAxl-cCbpXLx4J7pBW07VVgl8ygThjPjUDXoK1Ka6mHBbetfzVPw5f"
	    "onDC8ncR4KDluBawS4_Jzz3fZz-axVlGcKJUpVXUeNadpTWmFjvBQrqPVFW6"
	    "dXkwvQSXG6S2tgEPzfq9YAkG0Uuxu9A" },

	{ "PyJWT", "ES256",
	    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.ViKy4joqxY7SYJyBNBT0zCZSh0zYE24Q3aoINETceVkWX03"
	    "cgw3cASiwtQ0MgJcF5DXpasB8CMeAovhstMDuFw" },

	{ "jwcrypto", "ES256",
	    "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.xgaoqcGnFJK"
	    "9cZlNI_QInH2Sj4tauVq6DjSN3gf9FG-E9IX2ewbJjQNvEXwPXDXWswHdZsx"
	    "7uy-5pxaT-NtnLw" },

	{ "PyJWT", "ES384",
	    "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.kEjNP5wdRreKLkXkAE8-I8iv3uXabW7ZkXYij9iRfXbKjvs"
	    "mMPNNz-y1eyg2VTdR-oviLMYMCTXR9-Uk2LmbCSX5cNOngzUzJODbrJCWwDc"
	    "Mpv2pxBvceTCtUaxs3CGh" },

	{ "jwcrypto", "ES384",
	    "eyJhbGciOiAiRVMzODQiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.wj0Etb-XX2I"
	    "oI_FhY2DLqsvdqbBldikiOb-9LmchGTKitqmZyd-5IlXrt3HfL77RQ187MQp"
	    "BJ6xXhMfd4yTHZV3I8swQs8fcPm7qH1a-LzJllcqiAYd6B-V3ZM9MP40I" },

	{ "PyJWT", "ES512",
	    "eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.AM5FN7SlFBv3c1smshJtE070GftmhKglKcfKxZ0EcnHOYh1"
	    "xVAH1PDbB7HEAWLRaERHRfeFpXtdZx4xCk3m48hJEAGxX_JkekYBGdkFLisd"
	    "2caAHLZtnHzHQ_GQcJTeKZ4PIX2SYDVQywYzE8vr1v_QlBkeFYB0FpZX8Agl"
	    "K0_ntEWSE" },

	{ "jwcrypto", "ES512",
	    "eyJhbGciOiAiRVM1MTIiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.AUTy1SQDBI0"
	    "tVp4MO4uy8UN6QTytQ2gY6FAibXnMktPaXt_Xd6Po_7ox-S9DeOJQ9UqPlGi"
	    "B7YiAW5hLxn2Z9QFDADlw-WwMncpq4syQakus3wtcQqeS4OhWL4D9uYJfVyt"
	    "ehJdD2rfOYheveRDo00_ZAep61lgpT9ozUWqD_LpqgVmr" },

	{ "PyJWT", "EdDSA",
	    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1"
	    "lIjoiQWRhIEwiLCJyb2xlIjoiYWdlbnQiLCJ3b3Jrc3BhY2VzIjpbIncxIix"
	    "7ImlkIjoidzIiLCJzZXNzaW9ucyI6WyJzMSJdfV0sImlhdCI6MTY5OTk5OTk"
	    "5OSwibmJmIjoxNjk5OTk5OTk5LCJleHAiOjE3MDAwMDM2MDAsImp0aSI6InQ"
	    "tMSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsieCI"
	    "sImNoYXQiXX0.lfF29B11IcHHSZe5KzZBvyqNSQLUt8EgrD-vrn9pz10UhyX"
	    "8Zcw4E9G7QOR6brA8zkPyHgDoBU0cFueoeH9BDw" },

	{ "jwcrypto", "EdDSA",
	    "eyJhbGciOiAiRWREU0EiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWRhIiw"
	    "gIm5hbWUiOiAiQWRhIEwiLCAicm9sZSI6ICJhZ2VudCIsICJ3b3Jrc3BhY2V"
	    "zIjogWyJ3MSIsIHsiaWQiOiAidzIiLCAic2Vzc2lvbnMiOiBbInMxIl19XSw"
	    "gImlhdCI6IDE2OTk5OTk5OTksICJuYmYiOiAxNjk5OTk5OTk5LCAiZXhwIjo"
	    "gMTcwMDAwMzYwMCwgImp0aSI6ICJ0LTEiLCAiaXNzIjogImh0dHBzOi8vaXN"
	    "zdWVyLmV4YW1wbGUiLCAiYXVkIjogWyJ4IiwgImNoYXQiXX0.VkCx0Ow4_FZ"
	    "s0LTykc26K8374XYtViZ0qtZtNcizqDBGDvEV3uoFBXigXyhg-55KINDnitz"
	    "lSFbP3jp_DMUaDA" },

};

/* What is signed there is no token, but it is signed. */
static const struct {
	const char *of, *jwk, *token;
} rfc_vectors[] = {
	{ "RFC 7515 A.1",
	    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr"
	    "_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
	    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0"
	    "KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19"
	    "yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" },
	{ "RFC 7515 A.2",
	    "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoT"
	    "bji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-"
	    "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LO"
	    "L-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapH"
	    "g665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-D"
	    "WNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
	    "\",\"e\":\"AQAB\"}",
	    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTk"
	    "zODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4h"
	    "iUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
	    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKB"
	    "YNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
	    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZES"
	    "c6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5A"
	    "XLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw" },
	{ "RFC 7515 A.3",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76"
	    "e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIW"
	    "I5a0\"}",
	    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTk"
	    "zODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEh"
	    "U3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
	    "pmWQxfKTUJqPP3-Kg6NU1Q" },
	{ "RFC 7515 A.4",
	    "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCL"
	    "LJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk\""
	    ",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhj"
	    "Dly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}",
	    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZ"
	    "FVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7Xdt"
	    "AG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vc"
	    "nwNrmxYbSW9ERBXukOXolLzeO_Jn" },
	{ "RFC 7520 4.1",
	    "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"s"
	    "ig\",\"n\":\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHV"
	    "TeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVw"
	    "GU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqF"
	    "EHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZC"
	    "uEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_m"
	    "zSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\",\"e\":\"AQ"
	    "AB\"}",
	    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24u"
	    "ZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbyw"
	    "gZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCw"
	    "gYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5"
	    "vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.MRj"
	    "dkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZ"
	    "opdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4"
	    "JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6"
	    "x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLG"
	    "djluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ"
	    "41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg" },
	{ "RFC 7520 4.2",
	    "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"s"
	    "ig\",\"n\":\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHV"
	    "TeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVw"
	    "GU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqF"
	    "EHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZC"
	    "uEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_m"
	    "zSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\",\"e\":\"AQ"
	    "AB\"}",
	    "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24u"
	    "ZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbyw"
	    "gZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCw"
	    "gYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5"
	    "vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.cu2"
	    "2eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2Ip"
	    "N6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbX"
	    "UvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqr"
	    "YRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5"
	    "awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTO"
	    "cbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw" },
	{ "RFC 7520 4.3",
	    "{\"kty\":\"EC\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"si"
	    "g\",\"crv\":\"P-521\",\"x\":\"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v1"
	    "3nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt\",\"y\":\"Ady"
	    "mlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAg"
	    "DPrwQrJmbnX9cwlGfP-HqHZR1\"}",
	    "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24u"
	    "ZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbyw"
	    "gZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCw"
	    "gYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5"
	    "vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.AE_"
	    "R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu"
	    "9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-k"
	    "vAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2" },
	{ "RFC 7520 4.4",
	    "{\"kty\":\"oct\",\"kid\":\"018c0ae5-4d9b-471b-bfd6-eef314bc7037\",\"u"
	    "se\":\"sig\",\"alg\":\"HS256\",\"k\":\"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG"
	    "-Onbc6mxCcYg\"}",
	    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2"
	    "LWVlZjMxNGJjNzAzNyJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCB"
	    "Gcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGU"
	    "gcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmX"
	    "igJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB"
	    "0by4.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0" },
	{ "RFC 8037 A.4",
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcv"
	    "PapiMlrwIaaPcHURo\"}",
	    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgy"
	    "Y0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5"
	    "BhVsPt9g7sVvpAr_MuM0KAg" },
};

/* clang-format on */

#endif /* TOKEN_KEYS_H */
