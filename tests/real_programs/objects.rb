# Strings, hashes, threads, compaction and a collector under stress.
require "digest"
require "json"

random = Random.new(5)
index = Hash.new { |hash, word| hash[word] = [] }
lines = Array.new(8000) do |number|
  words = Array.new(8) { "w#{random.rand(2000)}#{"é" * random.rand(20)}" }
  words.each { |word| index[word] << number }
  words.join(" ")
end
ordered = index.sort_by { |word, numbers| [-numbers.size, word] }
puts ordered.size, ordered.first.inspect[0, 60]
puts Digest::SHA256.hexdigest(lines.map { |line| line.gsub(/w(\d+)(é*)/, '\2\1').upcase }.join("\n"))

tree = (1..2000).reduce({}) { |inner, n| { "n" => n, "in" => n % 50 == 0 ? {} : inner, "s" => "s" * (n % 80) } }
copy = JSON.parse(JSON.generate(tree))
puts copy == tree

parts = 4.times.map do |part|
  Thread.new { (1..20000).map { |n| (n * part).to_s * 3 }.select { |text| text.end_with?("7") }.map(&:size).sum }
end
puts parts.map(&:value).inspect

index.delete_if { |_, numbers| numbers.size.odd? }
GC.start
GC.compact if GC.respond_to?(:compact)
puts index.values.flatten.sum

GC.stress = true
kept = (1..60).map { |n| { n => "stress #{n}" * 20 } }
GC.stress = false
puts Digest::SHA256.hexdigest(kept.inspect)

reader, writer = IO.pipe
child = fork do
  reader.close
  writer.write(Array.new(3000) { |n| "line #{n} of the child\n" }.join)
  writer.close
end
writer.close
puts Digest::SHA256.hexdigest(reader.read)
Process.wait(child)
puts $?.success?
