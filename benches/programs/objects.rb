# Objects, hashes, strings and symbols; the argument is percent of the work.
Item = Struct.new(:name, :price, :tags)

rounds = [ARGV[0].to_i * 5 / 100, 1].max
total = 0
rounds.times do |round|
  items = Array.new(30_000) { |n| Item.new("item #{n * 7919 % 10_007} of #{round}", n % 100, (1..n % 6).map { |t| "tag#{t * n % 97}" }) }
  by_tag = Hash.new { |hash, tag| hash[tag] = [] }
  items.each { |item| item.tags.each { |tag| by_tag[tag] << item } }
  by_tag.each_value { |tagged| total += tagged.sum(&:price) }
  lines = items.group_by { |item| item.name.split.fetch(1) }.map { |key, group| "#{key}:#{group.map(&:name).join('|')}" }
  total += lines.sort_by(&:reverse).first(2_000).join("\n").gsub(/item (\d+)/) { "<#{$1}>" }.length
  totals = items.each_with_object({}) { |item, sums| sums[item.name.to_sym] = (sums[item.name.to_sym] || 0) + item.price }
  total += totals.size
end
puts total
