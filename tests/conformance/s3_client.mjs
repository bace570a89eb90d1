// Round trips with @aws-sdk/client-s3 as it comes: bodies of streams go as aws-chunked with a CRC32 trailer, and answers
// are checked against their checksums. Run by test_s3_clients.py: s3_client.mjs URL BUCKET, keys in the environment.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";
import { Readable } from "node:stream";

const load = createRequire(path.join(process.env.CLIENTS, "package.json"));
const { S3Client, ...s3 } = load("@aws-sdk/client-s3");
const { Upload } = load("@aws-sdk/lib-storage");

const [url, bucket] = process.argv.slice(2);
const client = new S3Client({ endpoint: url, forcePathStyle: true, region: process.env.AWS_REGION });
const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
const blocks = (bytes, size) => Readable.from((function* () {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
})());

async function read(key, more = {}) {
  const answer = await client.send(new s3.GetObjectCommand({ Bucket: bucket, Key: key, ...more }));
  return Buffer.from(await answer.Body.transformToByteArray());
}

async function smallObjects() {
  await client.send(new s3.PutObjectCommand({ Bucket: bucket, Key: "a b/ü+1", Body: "text", Metadata: { one: "1" } }));
  const answer = await client.send(new s3.GetObjectCommand({ Bucket: bucket, Key: "a b/ü+1", ChecksumMode: "ENABLED" }));
  assert.equal(await answer.Body.transformToString(), "text");
  assert.deepEqual(answer.Metadata, { one: "1" });
  assert.ok(answer.ChecksumCRC32, "the SDK sent a checksum and it was kept");
}

async function streams() {
  const bytes = randomBytes(3 * 1024 * 1024 + 17);
  await client.send(new s3.PutObjectCommand(
    { Bucket: bucket, Key: "stream", Body: blocks(bytes, 65536), ContentLength: bytes.length }));
  assert.equal(digest(await read("stream")), digest(bytes));
  assert.equal(digest(await read("stream", { Range: "bytes=100-199" })), digest(bytes.subarray(100, 200)));
}

async function parts() {
  const bytes = randomBytes(12 * 1024 * 1024);
  const upload = new Upload({ client, partSize: 5 * 1024 * 1024,
    params: { Bucket: bucket, Key: "parts", Body: blocks(bytes, 1 << 20), ChecksumAlgorithm: "SHA256" } });
  await upload.done();
  assert.equal(digest(await read("parts")), digest(bytes));
  const attributes = await client.send(new s3.GetObjectAttributesCommand(
    { Bucket: bucket, Key: "parts", ObjectAttributes: ["ETag", "ObjectParts", "ObjectSize", "Checksum"] }));
  assert.equal(attributes.ObjectSize, bytes.length);
  assert.equal(attributes.ObjectParts.TotalPartsCount, 3);
  assert.ok(attributes.Checksum.ChecksumSHA256);
}

async function copiesListsAndDeletes() {
  await client.send(new s3.CopyObjectCommand({ Bucket: bucket, Key: "copy", CopySource: `${bucket}/stream` }));
  const keys = [];
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 2 }, { Bucket: bucket }))
    keys.push(...page.Contents.map((entry) => entry.Key));
  assert.deepEqual(keys, ["a b/ü+1", "copy", "parts", "stream"]);
  const gone = await client.send(new s3.DeleteObjectsCommand(
    { Bucket: bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }));
  assert.equal(gone.Deleted.length, 4);
  await assert.rejects(read("copy"), { name: "NoSuchKey" });
}

await smallObjects();
await streams();
await parts();
await copiesListsAndDeletes();
console.log("all round trips are right");
