#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/crypto.h"
#include "common/jwt/key_set.h"
#include "common/jwt/signing_key.h"
#include "common/jwt/token.h"

namespace dispatch::jwt::jwt_test {
namespace {

using ::testing::HasSubstr;

const WallTime kNow = FromMillis(1'800'000'000'000);

std::string PrivatePem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free_all(bio);
  EVP_PKEY_free(key);
  return pem;
}

SigningKey NewKey(Algorithm algorithm) {
  EVP_PKEY* key = algorithm == Algorithm::kRs256   ? EVP_RSA_gen(2048)
                  : algorithm == Algorithm::kEs256 ? EVP_EC_gen("P-256")
                  : algorithm == Algorithm::kEs384 ? EVP_EC_gen("P-384")
                                                   : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  return *SigningKey::FromPem(PrivatePem(key));
}

json::object ClaimsWith(const json::object& more) {
  json::object claims{{"exp", ToMillis(kNow) / 1000 + 60}, {"sub", "jon"}};
  for (const auto& [name, value] : more) claims[name] = value;
  return claims;
}

// What Check says of the text; "" when it passes.
std::string Verdict(const std::string& text, const KeySet& keys, const Rules& rules = {}) {
  auto token = Token::Parse(text);
  return token.ok() ? token->Check(keys, rules, kNow).message() : token.message();
}

class JwtTest : public ::testing::Test {
 protected:
  JwtTest() { EXPECT_TRUE(keys_.AddPem(key_.PublicPem()).ok()); }
  std::string Said(const json::object& more, const Rules& rules = {}) {
    return Verdict(*key_.Sign(ClaimsWith(more)), keys_, rules);
  }

  SigningKey key_ = NewKey(Algorithm::kEdDsa);
  KeySet keys_;
};

TEST(JwtKeys, SignAndVerifyWithEachAlgorithm) {
  for (auto algorithm :
       {Algorithm::kRs256, Algorithm::kEs256, Algorithm::kEs384, Algorithm::kEdDsa}) {
    auto key = NewKey(algorithm);
    KeySet keys;
    ASSERT_TRUE(keys.AddPem(key.PublicPem()).ok());
    std::string text = *key.Sign(ClaimsWith({}));
    EXPECT_EQ(Verdict(text, keys), "") << AlgorithmName(algorithm);
    EXPECT_EQ(json::GetString(Token::Parse(text)->claims(), "sub"), "jon");
    KeySet others;
    ASSERT_TRUE(others.AddPem(NewKey(algorithm).PublicPem()).ok());
    EXPECT_EQ(Verdict(text, others), "no known key signed the token");
    text[text.find('.') + 2] ^= 1;
    EXPECT_NE(Verdict(text, keys), "");
  }
}

// RFC 7515, appendices A.2 and A.3; RFC 8037, appendix A.4.
TEST(JwtKeys, VerifyWhatTheStandardsSign) {
  const std::string claims =
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
      "cnVlfQ";
  KeySet keys;
  Status added = keys.AddJwks(*json::ParseObject(R"({"keys":[
    {"kty":"oct","k":"AAAA","use":"enc"},
    {"kty":"EC","crv":"P-521","x":"AA","y":"AA"},
    {"kty":"RSA","e":"AQAB","kid":"rsa","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
    {"kty":"EC","crv":"P-256","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})"));
  ASSERT_TRUE(added.ok()) << added.message();
  EXPECT_EQ(keys.size(), 3u);
  auto verify = [&](const char* algorithm, const char* id, const std::string& text,
                    const char* signature) {
    return keys.Verify(algorithm, id, text, *crypto::Base64UrlDecode(signature));
  };
  const char* rsa =
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
      "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
      "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
      "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
  EXPECT_TRUE(verify("RS256", "", "eyJhbGciOiJSUzI1NiJ9." + claims, rsa));
  EXPECT_TRUE(verify("RS256", "rsa", "eyJhbGciOiJSUzI1NiJ9." + claims, rsa));
  EXPECT_FALSE(verify("RS256", "other", "eyJhbGciOiJSUzI1NiJ9." + claims, rsa));
  EXPECT_FALSE(verify("none", "", "eyJhbGciOiJSUzI1NiJ9." + claims, ""));
  EXPECT_TRUE(verify(
      "ES256", "", "eyJhbGciOiJFUzI1NiJ9." + claims,
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"));
  EXPECT_TRUE(verify(
      "EdDSA", "", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"));
}

// The key and the claims of RFC 7515, appendix A.2, signed with the other hashes by arithmetic
// alone (RFC 8017, section 8.2.1).
TEST(JwtKeys, OfRsaVerifyEachHash) {
  const std::string claims =
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
      "cnVlfQ";
  const std::string modulus =
      "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-"
      "Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"
      "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
      "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
      "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"
      "DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
  const std::string rs384 =
      "UqgNjrJOGhk4wfoSG6Uvrt9GcKu-TgPwInExALrMBadg1pol1uTw7mZADTddAWsC6ZzdFiTFUmIi7DuD"
      "38ftLAZoW4qezdAO7RYf1yZDsbT20bt8DJJN1I4VovL2PLg80B6x6ug-"
      "kaW8k5LaM5ce0dk1zgWhjafKC3Mb4UNLL8f9fqVMkHpdWYRjF6QjTz12Ap-gq-"
      "tPyUoWSdvzCIYOcZ9-08SQQdUTTgsNF1Qwu3TqeWPqzNJwmWHiHMmaV8I4ktMFEX-"
      "AiEBa55KsfYTx0jSbTHP-odqmnLQJ4n-oQJ2RSXy0HQP6BkdiwDHdoMUk4z_wAeOsfDTs_mLxTgOInQ";
  const std::string rs512 =
      "ZatQfsb2gyCu3y9cDuz59a-"
      "IKm4bkqtT0HuT8BpNlPCmA3Y2eH91CVSI0TbkPqI9v2jaXuWvPcoJGNRtTpUXafTAbqzxWSMjqx8SkJR"
      "TuUz6imaHBctra42j2AvJ1t7qJwf2NN49y9PZbkYn3ejhU-"
      "iCmKJ3J-_GLsYp5VlximYm-o3sMul0tyCMvHUdmuWvadnVEaio-jix3pXYWfyFC8tp19zZrTaofxTAzC"
      "qlqundx22tfsuqchto_zVnZk_ZBr1R5lr29Qle5JgLmRkfDNbVSQZFdwg6mSlODL8BrOiM_vreMaPCO8"
      "U_JGezKUob0ONv7DA7XDfpbaXaFsHipQ";
  auto verify = [&](const std::string& declared, const char* algorithm, const char* header,
                    const std::string& signature) {
    KeySet keys;
    json::object jwk{{"kty", "RSA"}, {"e", "AQAB"}, {"n", modulus}};
    if (!declared.empty()) jwk["alg"] = declared;
    EXPECT_TRUE(keys.AddJwks({{"keys", json::array{std::move(jwk)}}}).ok());
    return keys.Verify(algorithm, "", header + claims, *crypto::Base64UrlDecode(signature));
  };
  const char* header384 = "eyJhbGciOiJSUzM4NCJ9.";
  const char* header512 = "eyJhbGciOiJSUzUxMiJ9.";
  EXPECT_TRUE(verify("", "RS384", header384, rs384));
  EXPECT_TRUE(verify("", "RS512", header512, rs512));
  EXPECT_TRUE(verify("RS384", "RS384", header384, rs384));
  // What the JWK says is held to, and no hash passes for another.
  EXPECT_FALSE(verify("RS256", "RS384", header384, rs384));
  EXPECT_FALSE(verify("", "RS512", header384, rs384));
  EXPECT_FALSE(verify("", "RS256", header384, rs384));
  EXPECT_FALSE(verify("", "PS384", header384, rs384));
  EXPECT_FALSE(verify("", "ES384", header384, rs384));
}

// RFC 6979, appendix A.2.6: SHA-384, message "sample".
TEST(JwtKeys, VerifyWhatP384Signs) {
  auto bytes = [](std::string_view hex) { return *crypto::HexDecode(hex); };
  KeySet keys;
  json::object jwk{
      {"kty", "EC"},
      {"crv", "P-384"},
      {"x", crypto::Base64UrlEncode(bytes("ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae528"
                                          "6b300c64def8f0ea9055866064a254515480bc13"))},
      {"y", crypto::Base64UrlEncode(bytes("8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b"
                                          "3f1c9db1288b231c3ae0d4fe7344fd2533264720"))}};
  ASSERT_TRUE(keys.AddJwks({{"keys", json::array{jwk}}}).ok());
  std::string signature = bytes(
      "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fa"
      "be46"
      "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a3862"
      "8ac8");
  EXPECT_TRUE(keys.Verify("ES384", "", "sample", signature));
  EXPECT_FALSE(keys.Verify("ES256", "", "sample", signature));
  EXPECT_FALSE(keys.Verify("ES384", "", "simple", signature));
  EXPECT_FALSE(keys.Verify("ES384", "", "sample", signature.substr(1)));
}

TEST(JwtKeys, AreMadeAndKept) {
  auto made = SigningKey::Random();
  auto kept = SigningKey::FromPem(made.PrivatePem());
  ASSERT_TRUE(kept.ok()) << kept.message();
  KeySet keys;
  ASSERT_TRUE(keys.AddPem(made.PublicPem()).ok());
  EXPECT_EQ(Verdict(*kept->Sign(ClaimsWith({})), keys), "");
}

TEST(JwtKeys, SayWhatIsWrongWithAKey) {
  KeySet keys;
  auto key = NewKey(Algorithm::kEdDsa);
  EXPECT_THAT(keys.AddPem("x").message(), HasSubstr("BEGIN PUBLIC KEY"));
  EXPECT_THAT(keys.AddPem(PrivatePem(EVP_EC_gen("P-256"))).message(), HasSubstr("private key"));
  auto small = SigningKey::FromPem(PrivatePem(EVP_RSA_gen(1024)));
  EXPECT_THAT(small.message(), HasSubstr("1024 bits"));
  EXPECT_THAT(SigningKey::FromPem(PrivatePem(EVP_EC_gen("P-521"))).message(), HasSubstr("P-384"));
  EXPECT_THAT(SigningKey::FromPem(key.PublicPem()).message(), HasSubstr("private key"));
  auto jwks = [&](const std::string& jwk) {
    return keys.AddJwks(*json::ParseObject(R"({"keys":[)" + jwk + "]}")).message();
  };
  EXPECT_THAT(jwks(""), HasSubstr("no key"));
  EXPECT_THAT(jwks(R"({"kty":"oct","k":"AAAA"})"), HasSubstr("private"));
  EXPECT_THAT(jwks(R"({"kty":"RSA","e":"AQAB"})"), HasSubstr("`n`"));
  EXPECT_THAT(jwks(R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})"), HasSubstr("32 bytes"));
  // A point that is not on the curve.
  std::string x = crypto::Base64UrlEncode(std::string(32, '\1'));
  EXPECT_THAT(jwks(R"({"kty":"EC","crv":"P-256","x":")" + x + R"(","y":")" + x + R"("})"),
              HasSubstr("keys[0]: this is no public key"));
  EXPECT_THAT(keys.AddJwks({}).message(), HasSubstr("\"keys\""));
  EXPECT_EQ(keys.size(), 0u);
  for (size_t i = 0; i < KeySet::kMostKeys; ++i) EXPECT_TRUE(keys.AddPem(key.PublicPem()).ok());
  EXPECT_THAT(keys.AddPem(key.PublicPem()).message(), HasSubstr("at most 16"));
}

TEST_F(JwtTest, HoldsTheTimes) {
  int64_t now = ToMillis(kNow) / 1000;
  EXPECT_EQ(Said({{"exp", now - 59}}), "");
  EXPECT_EQ(Said({{"exp", now - 60}}), "the token has expired");
  EXPECT_EQ(Said({{"exp", now + 0.5}, {"nbf", now + 60}}, {.leeway = std::chrono::seconds(60)}),
            "");
  EXPECT_EQ(Said({{"nbf", now + 61}}), "the token is not valid yet");
  EXPECT_EQ(Said({{"exp", now}}, {.leeway = std::chrono::seconds(0)}), "the token has expired");
  EXPECT_EQ(Said({{"exp", "tomorrow"}}), "the token has expired");
  EXPECT_EQ(Said({{"nbf", nullptr}}), "the token is not valid yet");
  auto claims = ClaimsWith({});
  claims.erase("exp");
  EXPECT_THAT(Verdict(*key_.Sign(claims), keys_), HasSubstr("claim exp"));
}

TEST_F(JwtTest, HoldsIssuerAndAudience) {
  Rules rules{.issuer = "https://issuer", .audiences = {"a", "b"}};
  EXPECT_EQ(Said({{"iss", "https://issuer"}, {"aud", "b"}}, rules), "");
  EXPECT_EQ(Said({{"iss", "https://issuer"}, {"aud", {"x", "a"}}}, rules), "");
  EXPECT_THAT(Said({{"aud", "b"}}, rules), HasSubstr("issuer"));
  EXPECT_THAT(Said({{"iss", "https://issuer/"}, {"aud", "b"}}, rules), HasSubstr("issuer"));
  for (const json::value& aud : {json::value("c"), json::value(1), json::value(json::array{})}) {
    EXPECT_THAT(Said({{"iss", "https://issuer"}, {"aud", aud}}, rules), HasSubstr("audience"));
  }
  EXPECT_THAT(Said({{"iss", "https://issuer"}}, rules), HasSubstr("audience"));
}

TEST_F(JwtTest, TakesNoOtherForms) {
  auto encoded = [](const std::string& text) { return crypto::Base64UrlEncode(text); };
  std::string claims = encoded(json::Serialize(ClaimsWith({})));
  EXPECT_THAT(Verdict(encoded(R"({"alg":"none"})") + "." + claims + ".", keys_),
              HasSubstr("no known key"));
  // A public key is no secret: as one of HMAC it proves nothing.
  std::string text = encoded(R"({"alg":"HS256"})") + "." + claims;
  text += "." + encoded(crypto::HmacSha256(key_.PublicPem(), text));
  EXPECT_THAT(Verdict(text, keys_), HasSubstr("no known key"));
  EXPECT_THAT(Verdict(encoded(R"({"alg":"EdDSA","crit":["b64"]})") + "." + claims + ".AA", keys_),
              HasSubstr("critical"));
  for (const char* bad : {"", "a", "a.b", "a.b.c", "..", "a.b.c.d.e", "e30.e30.*", "e30.W10.AA"}) {
    EXPECT_THAT(Verdict(bad, keys_), HasSubstr("malformed")) << bad;
  }
}

}  // namespace
}  // namespace dispatch::jwt::jwt_test
