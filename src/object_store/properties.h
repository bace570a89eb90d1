// The JSON columns: object.properties, upload.options, upload_part.checksums and completed_upload.answer. Empty members
// are left out.
//
//   properties = {"type": …, "headers": {…}, "metadata": {…}, "checksums": {…}, "checksum_type": …, "parts": sizes,
//                 "part_checksums": base64 of the digests one after the other, "tags": {…}}
//   options    = {"type": …, "headers": {…}, "metadata": {…}, "class": …, "checksum": algorithm, "checksum_type": …,
//                 "tags": {…}}
//   answer     = {"version": …, "etag": …, "size": …, "modified": …, "class": …, "properties": text of properties}
//   sizes      = [size, count, size, count, …], so that ten thousand equal parts stay small
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "object_store/object_store.h"

namespace millwright::object_store {

std::string write_properties(const ObjectInfo& object);
Result<void> read_properties(const std::string& text, ObjectInfo& object);
std::string write_options(const UploadOptions& options);
Result<UploadOptions> read_options(const std::string& text);
std::string write_completed(const ObjectInfo& object);
Result<ObjectInfo> read_completed(const std::string& text, std::string_view key);
std::string write_checksums(const std::map<std::string, std::string>& checksums);
Result<std::map<std::string, std::string>> read_checksums(const std::string& text);

}  // namespace millwright::object_store
